"""Offers of aggregators are carried out by the executor to the wei, and hostile ones cost nothing.

Behind each aggregator's API stand Uniswap's own router and a pool of a fee tier that the keeper
does not look at, where the collateral is worth two percent more.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from keeper.app.planning import with_offers
from keeper.core.chain import BlockRef
from keeper.core.lending import Reason
from keeper.core.plan import Plan, SwapKind
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.devnet.crash import crash
from keeper.executor.dividing import Decoders
from keeper.executor.rehearse import OFFER_BROKEN, Stage, rehearse
from keeper.planner.offers import Chosen
from keeper.venues.aggregators.desk import Aggregators
from tests.support.aave_scene import open_scene
from tests.support.aggregator_server import (
    KINDS,
    AggregatorServer,
    Filled,
    Order,
    asking,
    serving,
)
from tests.support.crashed_market import (
    Crashed,
    at_the_desk,
    forecast_at,
    forecast_received,
    realised,
    received,
)
from tests.support.executor_stage import RECIPIENT, deploy, executor_artifact
from tests.support.hidden_pool import filling, open_hidden_pool, router_of
from tests.support.market_node import MarketNode, copied_market

THIEF = Address("0x" + "bad0" * 10)


@pytest.fixture
async def crashed(anvil_binary: Path, local_market: MarketNode) -> AsyncIterator[Crashed]:
    with copied_market(anvil_binary, local_market) as node:
        who = node.market.accounts
        for step in crash(node.live):
            if step.number == 6:
                break
        contract = deploy(
            node.live.rpc, who.deployer, executor_artifact(), who.deployer, [who.keeper], RECIPIENT
        )
        async with open_scene(node.live, node.anvil.http_url) as scene:
            for symbol in ("WBTC", "wstETH"):
                open_hidden_pool(node.live, symbol)
            yield await at_the_desk(scene, contract.address, fee_tiers=(100, 500))


def selling(crashed: Crashed, symbol: str) -> Chosen:
    """Return the trade that sells most of an asset, as if it were the only one."""
    token = crashed.scene.live.market.asset(symbol).token
    alone = (crashed.planner.choose_all([case], crashed.desk)[0] for case in crashed.cases)
    return max(
        (
            one
            for found in alone
            for one in found
            if one.trade.option.collateral == token and one.trade.sale
        ),
        key=lambda one: sum(part.amount_in for part in one.trade.sale),
    )


def honest_server(crashed: Crashed) -> AggregatorServer:
    live = crashed.scene.live
    return AggregatorServer(router=router_of(live).address, fill=filling(live))


async def offered(crashed: Crashed, chosen: Chosen, server: AggregatorServer, kind: str) -> Plan:
    async with serving(server), asking(kind, server) as one:
        (plan,) = await with_offers(crashed.planner, [chosen], Aggregators(members=[one]))
    return plan


async def rehearsed(crashed: Crashed, plan: Plan) -> Plan:
    head: BlockRef = crashed.look.block
    decoders = Decoders(
        liquidations=lambda logs: crashed.scene.adapter.decode(crashed.view, logs),
        flash_fee=crashed.lender.fee_paid,
        wrapped_native=crashed.scene.live.market.weth,
        recipient=RECIPIENT,
    )
    stage = Stage(
        head=head,
        timestamp=crashed.cases[0].opportunity.timestamp,
        ahead=(),
        overrides={},
    )
    (held,), refused = await rehearse([plan], crashed.scene.chain.simulator, stage, decoders)
    assert refused == []
    return held


async def test_every_aggregators_offer_comes_to_its_forecast_to_the_wei(crashed: Crashed) -> None:
    router = router_of(crashed.scene.live).address
    # What is owed is bought out of the sale, or is what the sale brings.
    trades = (selling(crashed, "WBTC"), selling(crashed, "wstETH"))
    assert [bool(one.trade.buyback) for one in trades] == [True, False]
    assert [one.trade.route.sale_repays for one in trades] == [False, True]
    for kind in KINDS:
        for chosen in trades:
            server = AggregatorServer(router=router, fill=filling(crashed.scene.live))
            plan = await offered(crashed, chosen, server, kind)
            (leg,) = (one for one in plan.route if one.venue == kind)
            assert (leg.pool, leg.kind) == (router, SwapKind.EXACT_IN)
            assert plan.local is not None
            assert forecast_received(plan) > forecast_received(plan.local)
            (done,) = await crashed.run(plan)
            assert done.success, done.error
            assert realised(crashed, plan, done) == forecast_at(plan, crashed, done.gas_used)
            held = await rehearsed(crashed, plan)
            assert held.transaction == plan.transaction
            assert held.forecast.net > plan.local.forecast.net


async def test_the_best_net_of_several_is_taken(crashed: Crashed) -> None:
    router, fill = router_of(crashed.scene.live).address, filling(crashed.scene.live)
    chosen = selling(crashed, "WBTC")

    def costly(order: Order) -> Filled:
        return replace(fill(order), gas=500_000)

    async with AsyncExitStack() as stack:
        members = []
        for kind, how in (("zero_x", costly), ("paraswap", fill), ("odos", costly)):
            server = AggregatorServer(router=router, fill=how)
            await stack.enter_async_context(serving(server))
            members.append(await stack.enter_async_context(asking(kind, server)))
        (plan,) = await with_offers(crashed.planner, [chosen], Aggregators(members=members))
    assert plan.route[0].venue == "paraswap"


async def test_the_local_plan_goes_on_when_an_offer_is_hostile(crashed: Crashed) -> None:
    """Calldata cannot be judged by reading it: the rehearsal runs it, and nobody is paid."""
    router = router_of(crashed.scene.live).address
    chosen = selling(crashed, "WBTC")
    local = crashed.planner.build(chosen)
    honest = filling(crashed.scene.live)

    def reverting(order: Order) -> Filled:
        return replace(honest(order), data=bytes.fromhex("deadbeef"))

    def boasting(order: Order) -> Filled:
        """Promise a tenth more, sell the thousandth part and keep quiet about it."""
        less = honest(Order(order.token_in, order.token_out, order.amount // 1000, order.taker))
        return replace(less, amount_out=honest(order).amount_out * 11 // 10)

    for hostile in (filling(crashed.scene.live, to=THIEF), reverting, boasting):
        server = AggregatorServer(router=router, fill=hostile)
        plan = await offered(crashed, chosen, server, "zero_x")
        assert plan.local == local
        with capture_logs() as logs:
            held = await rehearsed(crashed, plan)
        assert held.transaction == local.transaction
        assert [entry["event"] for entry in logs] == [OFFER_BROKEN]
        assert logs[0]["reason"] in (Reason.SIMULATION_FAILED, Reason.SIMULATION_DIFFERS)


async def test_a_stranger_to_the_allow_list_leaves_the_plan_as_it_was(crashed: Crashed) -> None:
    chosen = selling(crashed, "WBTC")
    server = AggregatorServer(
        router=router_of(crashed.scene.live).address, fill=filling(crashed.scene.live)
    )
    async with serving(server), asking("odos", server, targets=[THIEF]) as one:
        (plan,) = await with_offers(crashed.planner, [chosen], Aggregators(members=[one]))
    assert plan == crashed.planner.build(chosen)


async def test_less_at_hand_than_was_asked_about_is_sold_locally(crashed: Crashed) -> None:
    """The offer's call fails, and the local path behind it sells all that there is."""
    chosen = selling(crashed, "WBTC")
    asked = crashed.planner.ask(chosen)
    assert asked is not None
    server = AggregatorServer(
        router=router_of(crashed.scene.live).address, fill=filling(crashed.scene.live)
    )
    async with serving(server), asking("odos", server) as one:
        more = replace(asked, amount_in=asked.amount_in + 1)
        offer = await one.offer(more)
    assert offer is not None
    plan = crashed.planner.build_offered(chosen, [offer])
    (done,) = await crashed.run(plan)
    assert done.success, done.error
    assert plan.local is not None
    assert received(done) >= plan.min_profit
    assert received(done) <= forecast_received(plan.local)


async def test_what_an_offer_leaves_is_sold_as_well(crashed: Crashed) -> None:
    chosen = selling(crashed, "WBTC")
    asked = crashed.planner.ask(chosen)
    assert asked is not None
    server = AggregatorServer(
        router=router_of(crashed.scene.live).address, fill=filling(crashed.scene.live)
    )
    async with serving(server), asking("odos", server) as one:
        offer = await one.offer(replace(asked, amount_in=asked.amount_in * 999 // 1000))
    assert offer is not None
    plan = crashed.planner.build_offered(chosen, [offer])
    assert plan.local is not None
    (done,) = await crashed.run(plan)
    assert done.success, done.error
    assert received(done) > forecast_received(plan)
