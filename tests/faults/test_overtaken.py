"""A block comes between rehearsal and signature: what is sent holds on that one as well.

The answer to the rehearsal is held back by the proxy until the keeper knows of the further block.
"""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from structlog.testing import capture_logs

from keeper.chain.rpc import RetryPolicy
from keeper.core.lending import AccountRef, Reason
from keeper.core.plan import Opportunity, Plan, Status
from keeper.core.tick import Tick
from keeper.devnet.prices import oracle_prices, push_prices
from keeper.devnet.sender import Sender
from keeper.devnet.uniswap import queue_moves
from keeper.executor.rehearsals import OVERTAKEN
from tests.faults.test_market import fallen, rival
from tests.support.fault_desk import PATIENCE_S, Desk, keeper_desk
from tests.support.fault_proxy import FaultProxy, Hold
from tests.support.market_node import MarketNode

PATIENT = RetryPolicy(timeout_s=PATIENCE_S, budget_s=PATIENCE_S)


def recovery(desk: Desk) -> None:
    push_prices(desk.node.live, fallen(10_000))


def dry_exchange(desk: Desk) -> None:
    """Have the exchange, and no feed, fall in the block."""
    live = desk.node.live
    trader = Sender.of(live.rpc, live.market.accounts.arbitrageur)
    prices = oracle_prices(live) | fallen(3_000)
    queue_moves(trader, live.swap_router, live.exchange_pools, prices)
    trader.submit()
    desk.mine()


def foremost(desk: Desk) -> Opportunity:
    """Return whom the keeper is about to liquidate first."""
    deployment = desk.session.keeper.deployments[0]
    found = deployment._sight.look(
        deployment.mirror.snapshot.block, deployment.mirror.snapshot, deployment._prices, "", Tick()
    )
    return found.found.opportunities[0]


async def overtaken(
    desk: Desk, proxy: FaultProxy, between: Callable[[Desk], None]
) -> tuple[int, int]:
    """Let a block come amid the first rehearsal; return the block of the fall, and that one."""
    hold = Hold()
    rule = proxy.spoil(hold, method="eth_simulateV1")
    fell = desk.fall()
    await desk.until(hold.answered.is_set)
    between(desk)
    came = desk.height()
    executor = desk.session.keeper.sending.executor
    await desk.until(lambda: executor.newest is not None and executor.newest.number == came)
    proxy.rules.remove(rule)
    hold.release.set()
    await desk.at_head()
    return fell, came


async def test_what_still_pays_is_sent_once_for_the_block_after_the_one_that_came(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url], retry=PATIENT) as desk:
        with capture_logs() as logs:
            fell, came = await overtaken(desk, proxy, Desk.mine)
        told = [one for one in logs if one["event"] == OVERTAKEN]
        assert (told[0]["planned_at"], told[0]["head"]) == (fell, came)
        first = [(plan, one) for plan, one in desk.ears.sent_plans if planned_at(plan) == fell]
        assert len(first) > 1
        assert {one.target_block for _, one in first} == {came + 1}
        await desk.settle()
        assert len(desk.ears.landed()) == len(desk.ears.sent_plans) == len(set(proxy.sent))
        accounts = [plan.ref for plan, _ in desk.ears.sent_plans]
        assert len(set(accounts)) == len(accounts)
        await desk.require_cold_start()
        desk.require_invariants()


async def test_what_is_liquidatable_no_more_in_the_block_that_came_is_not_sent(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url], retry=PATIENT) as desk:
        with capture_logs() as logs:
            fell, _ = await overtaken(desk, proxy, recovery)
        assert OVERTAKEN in [one["event"] for one in logs]
        refused = {one.reason for one in desk.ears.rejections if one.block == fell}
        assert Reason.SIMULATION_FAILED in refused
        desk.mine(2)
        await desk.at_head()
        assert proxy.sent == []
        desk.require_invariants()


async def test_what_the_exchange_pays_no_more_for_in_the_block_that_came_is_not_sent(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    ether = {market.market.weth, market.market.asset("wstETH").token}
    async with keeper_desk(tmp_path, market, [proxy.ws_url], retry=PATIENT) as desk:
        with capture_logs() as logs:
            fell, _ = await overtaken(desk, proxy, dry_exchange)
        assert OVERTAKEN in [one["event"] for one in logs]
        failed = [one for one in desk.ears.rejections if one.block == fell]
        assert [one for one in failed if one.reason is Reason.SIMULATION_FAILED] != []
        await desk.settle()
        options = [plan.option for plan, _ in desk.ears.sent_plans]
        sold = [one for one in options if one.collateral in ether and one.debt not in ether]
        assert sold == []
        assert {one.status for one in desk.ears.outcomes} <= {Status.LANDED}
        desk.require_invariants()


async def test_whom_a_rival_had_in_the_block_that_came_is_left_out_and_the_others_are_sent(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    taken: list[AccountRef] = []

    def rival_first(desk: Desk) -> None:
        opportunity = foremost(desk)
        taken.append(opportunity.ref)
        option = opportunity.options[0]
        rival(desk.node, SimpleNamespace(ref=opportunity.ref, option=option))
        desk.mine()

    async with keeper_desk(tmp_path, market, [proxy.ws_url], retry=PATIENT) as desk:
        fell, _ = await overtaken(desk, proxy, rival_first)
        first = [plan.ref for plan, _ in desk.ears.sent_plans if planned_at(plan) == fell]
        assert first != []
        assert taken[0] not in first
        await desk.settle()
        assert {one.status for one in desk.ears.outcomes} == {Status.LANDED}
        desk.require_invariants()


def planned_at(plan: Plan) -> int:
    return plan.opportunity.block.number
