"""Aggregators meet a running keeper: a good one is used, a bad one holds nothing up."""

from pathlib import Path

from structlog.testing import capture_logs

from keeper.core.plan import SwapKind
from keeper.venues.aggregators.desk import OFFER_REFUSED
from tests.support.aggregator_server import AggregatorServer, serving
from tests.support.fault_desk import FALLEN, keeper_desk
from tests.support.hidden_pool import filling, open_hidden_pool, router_of
from tests.support.market_node import MarketNode


def configured(market: MarketNode, *servers: AggregatorServer) -> dict[str, object]:
    """Return the keys of a chain file: two fee tiers, and an aggregator for each server."""
    found = market.market
    venue = {
        "kind": "uniswap_v3",
        "factory": found.uniswap_factory,
        "quoter_v2": found.quoter,
        "fee_tiers": [100, 500],
        "intermediates": [found.weth, found.asset("USDC").token],
    }
    aggregators = [
        {
            "kind": kind,
            "url": server.url,
            "targets": [server.router],
            "spenders": [server.router],
            "deadline_ms": 5_000 if not server.silent else 20,
        }
        for kind, server in zip(("odos", "paraswap"), servers, strict=False)
    ]
    return {"venues": [venue], "aggregators": aggregators}


async def test_a_running_keeper_sells_by_the_better_offer(
    market: MarketNode, tmp_path: Path
) -> None:
    # Two percent over the market once ether has fallen.
    open_hidden_pool(market.live, "WBTC", pays_bps=10_200 * 10_000 // FALLEN)
    server = AggregatorServer(router=router_of(market.live).address, fill=filling(market.live))
    async with serving(server):
        chain = configured(market, server)
        async with keeper_desk(tmp_path, market, [market.anvil.http_url], chain=chain) as desk:
            desk.fall()
            await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
            await desk.settle()
            desk.require_invariants()
            landed = {one.plan_id: one for one in desk.ears.landed()}
            sold = [
                (plan, landed[plan.id])
                for plan, _ in desk.ears.sent_plans
                if any(leg.venue == "odos" for leg in plan.route) and plan.id in landed
            ]
    assert sold
    for plan, outcome in sold:
        assert [leg.kind for leg in plan.route if leg.venue == "odos"] == [SwapKind.EXACT_IN]
        assert outcome.realised.net >= plan.least_net


async def test_silence_and_garbage_hold_no_liquidation_up(
    market: MarketNode, tmp_path: Path
) -> None:
    silent, mad = AggregatorServer(silent=True), AggregatorServer(raw=b"<html>")
    async with serving(mad), serving(silent):
        chain = configured(market, mad, silent)
        async with keeper_desk(tmp_path, market, [market.anvil.http_url], chain=chain) as desk:
            with capture_logs() as logs:
                desk.fall()
                await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
                await desk.settle()
            desk.require_invariants()
            assert len(desk.ears.landed()) == len(desk.ears.sent_plans)
    refused = {entry["aggregator"] for entry in logs if entry["event"] == OFFER_REFUSED}
    assert refused == {"odos", "paraswap"}
