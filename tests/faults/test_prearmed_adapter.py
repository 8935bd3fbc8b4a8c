"""Signed ahead on Aave where the price is an adapter's: events of its feed tell it."""

from pathlib import Path

from keeper.core.tick import Rung
from keeper.devnet.assets import ASSETS
from keeper.devnet.contract import Contract
from keeper.devnet.prices import push_prices
from keeper.devnet.sender import Sender
from keeper.executor.salvo import Salvo
from tests.faults.test_prearmed import AHEAD, armed, listen, reached, salvo
from tests.support.adapted import read_by_ratio
from tests.support.fault_desk import keeper_desk
from tests.support.fault_proxy import FaultProxy
from tests.support.market_node import MarketNode

RATIO = 1_250_000_000_000_000_001
ANSWER = ASSETS["wstETH"].price * 10**18 // RATIO
"""At which the adapter's price is what the asset's was, but for a unit."""


def adapted(market: MarketNode) -> Contract:
    """Have staked ether be a multiple of what its own feed answers, at the price that it has."""
    adapter = read_by_ratio(market.live, "wstETH", of="wstETH", ratio=RATIO)
    push_prices(market.live, {"wstETH": ANSWER})
    return adapter


def answer_for(ready: Salvo, ratio: int = RATIO) -> int:
    """Return what the feed must answer for all of the salvo to be due."""
    return ready.shots[-1].price * 10**18 // ratio


async def test_what_was_signed_for_staked_ether_is_sent_by_the_event_of_its_feed(
    market: MarketNode,
    tmp_path: Path,
    proxy: FaultProxy,
) -> None:
    adapted(market)
    async with keeper_desk(tmp_path, market, [proxy.ws_url], root=AHEAD) as desk:
        fired, ready = listen(desk), await armed(desk, "wstETH")
        assert ready.falls
        moved = push_prices(market.live, {"wstETH": answer_for(ready)})
        await reached(desk, [one.submission for one in ready.shots])
        await desk.settle()
        due = {one.plan.id for one in ready.shots}
        assert {one.plan.id for one in fired} == due
        assert {one.tick.rung for one in fired} == {Rung.PREARMED}
        landed = {one.plan_id: one.block for one in desk.ears.landed()}
        assert {landed[one] for one in due} == {moved + 1}
        await desk.require_cold_start()
        desk.require_invariants()


async def test_a_ratio_that_changed_since_is_signed_for_no_more(
    market: MarketNode,
    tmp_path: Path,
    proxy: FaultProxy,
) -> None:
    adapter = adapted(market)
    async with keeper_desk(tmp_path, market, [proxy.ws_url], root=AHEAD) as desk:
        fired, ready = listen(desk), await armed(desk, "wstETH")
        changed = RATIO + RATIO // 100
        owner = Sender.of(market.live.rpc, market.market.accounts.deployer)
        owner.call(adapter, "setRatio", changed)
        owner.mine()
        await desk.at_head()
        await desk.until(lambda: salvo(desk, "wstETH") is None)
        await desk.until(lambda: salvo(desk, "WBTC") is not None, mining=True)
        assert salvo(desk, "wstETH") is None
        push_prices(market.live, {"wstETH": answer_for(ready, changed)})
        await desk.settle()
        assert all("wstETH" not in one.plan.opportunity.trigger for one in fired)
        refs = {plan.ref for plan, _ in desk.ears.sent_plans}
        assert {one.ref for one in ready.shots} <= refs
        desk.require_invariants()
