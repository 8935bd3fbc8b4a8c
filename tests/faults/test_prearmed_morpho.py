"""Signed ahead on Morpho Blue, whose oracles emit nothing: events of feeds tell their prices."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from keeper.core.tick import Rung
from keeper.devnet.assets import ASSETS
from keeper.devnet.morpho import LocalMorpho, build_morpho, liquidatable
from keeper.devnet.morpho_specs import MorphoLoan, loan_of
from keeper.devnet.prices import push_prices
from keeper.devnet.stage_morpho_blue import morpho_file
from keeper.executor.salvo import Salvo
from tests.faults.test_prearmed import AHEAD, listen, reached
from tests.support.fault_desk import Desk, keeper_desk
from tests.support.fault_proxy import FaultProxy
from tests.support.market_node import MarketNode

PLACE = 3
"""Of the market of ether against dollars that has no early liquidation."""
EARLY = 0
"""Of the one that has."""
NEAR = [loan_of(PLACE, 20_000, 10_100 + 30 * number) for number in range(4)]
FAR = [loan_of(PLACE, 20_000, 18_000)]


@asynccontextmanager
async def watched(
    folder: Path,
    market: MarketNode,
    proxy: FaultProxy,
    *,
    loans: Sequence[MorphoLoan] = (*NEAR, *FAR),
    root: Mapping[str, object] = AHEAD,
) -> AsyncIterator[tuple[Desk, LocalMorpho]]:
    local = build_morpho(market.live, seed=5, borrowers=len(loans), loans=loans)
    nodes, files = [proxy.ws_url], (morpho_file(local),)
    async with keeper_desk(folder, market, nodes, root=root, deployments=files) as desk:
        yield desk, local


def salvo(desk: Desk, local: LocalMorpho, *, falls: bool) -> Salvo | None:
    """Return what is signed ahead at the newest head for the market's oracle to fall or rise."""
    arming, oracle = desk.session.keeper.sending.arming, local.markets[PLACE].params[2]
    assert arming is not None
    found = [
        one
        for (_, feed), salvos in arming.prearm._salvos.items()
        if feed == oracle
        for one in salvos
        if one.falls is falls and one.block == desk.height()
    ]
    return found[0] if found else None


def answer_of(desk: Desk, ready: Salvo, symbol: str) -> int:
    """Return what a feed must answer for all of the salvo to be due, the other feed as it is.

    A little more than it takes: the last owes some interest until the block that it lands in.
    """
    last = ready.shots[-1].price * 9_999 // 10_000
    now = desk.session.keeper.deployments[0]._prices.prices[ready.feed].value
    was = ASSETS[symbol].price
    return was * last // now if symbol == "WETH" else -(-was * now // last)


@pytest.mark.parametrize("symbol", ["WETH", "DAI"])
async def test_an_event_of_either_feed_sends_what_was_signed_ahead(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy, symbol: str
) -> None:
    async with watched(tmp_path, market, proxy) as (desk, local):
        fired = listen(desk)
        await desk.until(lambda: salvo(desk, local, falls=True) is not None, mining=True)
        ready = salvo(desk, local, falls=True)
        assert ready is not None
        assert len(ready.shots) == len(NEAR)
        moved = push_prices(market.live, {symbol: answer_of(desk, ready, symbol)})
        assert len(liquidatable(local)) == len(NEAR)
        await reached(desk, [one.submission for one in ready.shots])
        await desk.settle()
        assert [one.plan.ref for one in fired] == [one.ref for one in ready.shots]
        assert {one.tick.rung for one in fired} == {Rung.PREARMED}
        landed = desk.ears.landed()
        assert [one.block for one in landed] == [moved + 1] * len(NEAR)
        assert {one.plan_id for one in landed} == {one.plan.id for one in fired}
        assert liquidatable(local) == []
        await desk.require_cold_start()
        assert desk.ears.broken == desk._overlapping() == []


async def test_feeds_that_move_against_each_other_in_a_block_send_nothing(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with watched(tmp_path, market, proxy) as (desk, local):
        fired = listen(desk)
        await desk.until(lambda: salvo(desk, local, falls=True) is not None, mining=True)
        ready = salvo(desk, local, falls=True)
        assert ready is not None
        ether = answer_of(desk, ready, "WETH")
        dollar = ASSETS["DAI"].price * ether // ASSETS["WETH"].price
        push_prices(market.live, {"DAI": dollar, "WETH": ether})
        assert liquidatable(local) == []
        await desk.at_head()
        await desk.settle()
        assert fired == []
        assert desk.ears.sent_plans == []
        assert desk.ears.broken == []


@pytest.mark.parametrize(("slippage_bps", "is_armed"), [(500, True), (1_000, False)])
async def test_an_early_liquidation_is_signed_for_where_no_price_that_is_answered_ends_it(
    market: MarketNode,
    tmp_path: Path,
    proxy: FaultProxy,
    slippage_bps: int,
    is_armed: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """From 80 to 86 % of the collateral a contract may; past that everybody, and it no more."""
    loans = [*NEAR, *(loan_of(EARLY, 20_000, 10_000) for _ in range(2))]
    limits = {"limits": {"slippage_bps": slippage_bps}}
    root = {**AHEAD, **limits, "confirm_dangerous": ["limits.slippage_bps"]}
    async with watched(tmp_path, market, proxy, loans=loans, root=root) as (desk, local):
        early = local.markets[EARLY].early
        arming = desk.session.keeper.sending.arming
        assert arming is not None
        await desk.until(lambda: salvo(desk, local, falls=True) is not None, mining=True)
        signed = {
            shot.plan.ref.market
            for salvos in arming.prearm._salvos.values()
            for one in salvos
            for shot in one.shots
        }
        assert (early in signed) is is_armed
        assert local.markets[PLACE].id in signed
