"""Prices and liquidity mislead. Scenarios 17, 22, 33 and 43; the oracle's own are elsewhere."""

from pathlib import Path

import pytest

from keeper.core.lending import Reason
from keeper.core.plan import Status
from keeper.devnet.assets import ASSETS
from keeper.devnet.prices import move_market, push_prices
from keeper.runtime.clock import SystemClock
from tests.support.fault_desk import FALLEN, keeper_desk
from tests.support.fault_proxy import FaultProxy
from tests.support.market_node import MarketNode


def fallen(ether_bps: int) -> dict[str, int]:
    return {name: ASSETS[name].price * ether_bps // 10_000 for name in ("WETH", "wstETH")}


async def test_22_what_the_oracle_values_but_nobody_buys_is_left_alone(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    move_market(market.live, fallen(4_000))
    push_prices(market.live, fallen(FALLEN))
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        await desk.until(lambda: bool(desk.ears.rejections), mining=True)
        desk.mine(2)
        await desk.at_head()
        sold = [plan for plan, _ in desk.ears.sent_plans]
        ether = {market.market.weth, market.market.asset("wstETH").token}
        assert [plan for plan in sold if plan.option.collateral in ether] == []
        await desk.settle()
        assert {one.status.value for one in desk.ears.outcomes} <= {"landed"}
        desk.require_invariants()


class ShiftedClock(SystemClock):
    """A machine's clock that is wrong; ``right_at`` the chain's time when it is not."""

    def __init__(self, right_at: int, shift_s: int) -> None:
        self.shift_s = shift_s
        self._offset_s = right_at - super().now()

    def now(self) -> float:
        return super().now() + self._offset_s + self.shift_s


@pytest.mark.parametrize("shift_s", [600, -600])
async def test_33_a_wrong_clock_stops_acting_and_says_so(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy, shift_s: int
) -> None:
    head = market.live.rpc.call("eth_getBlockByNumber", "latest", False)
    clock = ShiftedClock(int(head["timestamp"], 16), 0)
    wall = {"follows_wall_clock": True, "max_head_age_s": 300}
    async with keeper_desk(tmp_path, market, [proxy.ws_url], chain=wall, clock=clock) as desk:
        clock.shift_s = shift_s
        desk.fall()
        await desk.until(lambda: "our clock" in str(desk.ears.reasons()), mining=True)
        desk.mine(2)
        await desk.at_head()
        assert proxy.sent == []
        clock.shift_s = 0
        desk.fall(8_400)
        await desk.settle_landed()
        desk.require_invariants()


async def test_43_a_pause_in_the_middle_stops_and_its_end_resumes(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        pause(desk, paused=True)
        await desk.at_head()
        desk.fall()
        await desk.until(lambda: bool(desk.ears.rejections), mining=True)
        desk.mine(2)
        await desk.at_head()
        assert proxy.sent == []
        assert {one.reason for one in desk.ears.rejections} == {Reason.NO_OPTION}
        desk.require_invariants()
        pause(desk, paused=False)
        await desk.settle_landed()
        await desk.require_cold_start()
        desk.require_invariants()


def pause(desk, *, paused):
    live = desk.node.live
    admin = live.market.accounts.deployer
    data = live.configurator.encode("setPoolPause", paused)
    call = {
        "from": admin,
        "to": live.configurator.address,
        "data": "0x" + data.hex(),
        "gas": hex(5_000_000),
    }
    desk.rpc("anvil_impersonateAccount", admin)
    desk.rpc("eth_sendTransaction", call)
    desk.mine()


async def test_28_a_competitor_who_is_first_costs_the_gas_of_a_revert_and_no_more(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        plan, _ = desk.ears.sent_plans[0]
        rival(desk.node, plan)
        await desk.settle()
        outcome = next(one for one in desk.ears.outcomes if one.plan_id == plan.id)
        assert outcome.status is Status.REVERTED
        assert outcome.realised.net < 0
        again = [one for one, _ in desk.ears.sent_plans if one.ref == plan.ref]
        assert again == [plan]
        await desk.require_cold_start()
        desk.require_invariants()


def rival(node, plan, most=2**256 - 1):
    """Let somebody else liquidate the plan's account, ahead of it in the same block."""
    live, who = node.live, node.market.accounts.supplier
    option = plan.option
    data = live.pool.encode(
        "liquidationCall", option.collateral, option.debt, plan.ref.account, most, False
    )
    call = {
        "from": who,
        "to": live.pool.address,
        "data": "0x" + data.hex(),
        "gas": hex(2_000_000),
        "maxFeePerGas": hex(500 * 10**9),
        "maxPriorityFeePerGas": hex(100 * 10**9),
    }
    live.rpc.call("anvil_impersonateAccount", who)
    live.rpc.call("eth_sendTransaction", call)
