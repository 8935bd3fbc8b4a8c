"""Plans on a real market come to exactly what they forecast, alone and one after the other."""

from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from keeper.core.chain import Fees
from keeper.core.lending import Reason
from keeper.core.plan import Plan, SwapKind
from keeper.core.values import replace
from keeper.devnet.crash import crash
from keeper.devnet.prices import held_mining
from keeper.devnet.sender import Sender, read
from keeper.planner.case import Case
from keeper.planner.costs import GasModel
from keeper.planner.markets import Markets
from keeper.protocols.aave_v3.state import AaveMarket
from tests.support.aave_scene import open_scene
from tests.support.crashed_market import (
    Crashed,
    at_the_desk,
    forecast_at,
    forecast_received,
    open_pairs,
    plans_alone,
    realised,
    received,
)
from tests.support.executor_stage import RECIPIENT, deploy, executor_artifact
from tests.support.gas_band import in_band
from tests.support.market_node import MarketNode, copied_market

UNSIGNED_BYTES = 60
"""Of a transaction, besides its data and signature."""


@pytest.fixture
async def crashed(anvil_binary: Path, local_market: MarketNode) -> AsyncIterator[Crashed]:
    with copied_market(anvil_binary, local_market) as node:
        market = node.market
        who = market.accounts
        for step in crash(node.live):
            if step.number == 6:
                break
        contract = deploy(
            node.live.rpc, who.deployer, executor_artifact(), who.deployer, [who.keeper], RECIPIENT
        )
        async with open_scene(node.live, node.anvil.http_url) as scene:
            yield await at_the_desk(scene, contract.address)


async def test_each_plan_comes_to_its_forecast_to_the_wei(crashed: Crashed) -> None:
    taken = plans_alone(crashed, crashed.planner)
    for plan in taken:
        (done,) = await crashed.run(plan)
        assert done.success, f"{plan.id}: {done.error}"
        assert realised(crashed, plan, done) == forecast_at(plan, crashed, done.gas_used), plan.id
    assert len(taken) > 10
    assert {len(plan.route) for plan in taken} >= {1, 2, 3}


async def test_divided_plans_come_to_their_forecast_to_the_wei(crashed: Crashed) -> None:
    """Where the gas of a pool costs nothing, every leg that has two ways is divided."""
    free = crashed.planner_with(replace(crashed.limits, min_profit=0), GasModel(hop=0))
    kinds = set()
    for plan in plans_alone(crashed, free):
        fixed = {leg.kind for leg in plan.route} & {SwapKind.EXACT_IN, SwapKind.EXACT_OUT}
        if not fixed:
            continue
        (done,) = await crashed.run(plan)
        assert done.success, f"{plan.id}: {done.error}"
        assert realised(crashed, plan, done) == forecast_at(plan, crashed, done.gas_used), plan.id
        kinds |= fixed
    assert SwapKind.EXACT_OUT in kinds


async def test_plans_through_pairs_and_pools_come_to_their_forecast(crashed: Crashed) -> None:
    """Pairs stand beside pools: legs are divided over both, paths of two hops cross them."""
    beside = await at_the_desk(crashed.scene, crashed.executor, pairs=open_pairs(crashed.scene))
    free = beside.planner_with(replace(beside.limits, min_profit=0), GasModel(hop=0))
    kinds, mixed = set(), 0
    for plan in plans_alone(beside, free):
        if not any(leg.venue == "uniswap_v2" for leg in plan.route):
            continue
        (done,) = await beside.run(plan)
        assert done.success, f"{plan.id}: {done.error}"
        assert realised(beside, plan, done) == forecast_at(plan, beside, done.gas_used), plan.id
        kinds |= {leg.kind for leg in plan.route}
        mixed += any(
            one.venue != after.venue and one.token_out == after.token_in
            for one, after in pairwise(plan.route)
        )
    assert kinds == set(SwapKind)
    assert mixed > 0


async def test_the_gas_estimate_is_near_and_the_limit_is_enough(crashed: Crashed) -> None:
    for plan in plans_alone(crashed, crashed.planner):
        (done,) = await crashed.run(plan)
        estimate = plan.forecast.gas // crashed.desk.gas_price
        assert in_band(estimate, done.gas_used), f"{plan.id}: {estimate} of {done.gas_used}"
        assert done.gas_used * 5 < plan.gas_limit * 4
        size = len(plan.transaction.data) + UNSIGNED_BYTES
        expected = GasModel().size(len(plan.route), steps=len(plan.liquidations))
        assert expected * 2 // 3 < size <= expected, plan.id


async def test_a_tip_comes_out_of_the_proceeds(crashed: Crashed) -> None:
    planner = crashed.planner_with(replace(crashed.limits, tip_bps=1_000))
    plan = max(plans_alone(crashed, planner), key=lambda one: one.forecast.net)
    (done,) = await crashed.run(plan)
    assert done.success, done.error
    assert plan.tip > 10**15
    assert realised(crashed, plan, done) == forecast_at(plan, crashed, done.gas_used)


async def test_plans_made_together_all_land_in_one_block_as_forecast(crashed: Crashed) -> None:
    made = crashed.planner.plan_all(crashed.cases, crashed.desk)
    together = [one for one in made if isinstance(one, Plan)]
    results = await crashed.run(*together)
    assert all(one.success for one in results)
    assert [received(one) for one in results] == [forecast_received(one) for one in together]

    alone = plans_alone(crashed, crashed.planner)
    landed = await crashed.run(*alone)
    assert not all(one.success for one in landed)
    assert sum(received(one) for one in results) > sum(received(o) for o in landed if o.success)


@pytest.mark.parametrize("to_protocol_bps", [0, 4_000])
async def test_a_premium_lifts_the_index_that_those_behind_are_planned_at(
    crashed: Crashed, to_protocol_bps: int
) -> None:
    """Indices, supply and the treasury's part afterwards are those that the chain has."""
    live = crashed.scene.live
    admin = Sender.of(live.rpc, live.market.accounts.deployer)
    admin.call(live.configurator, "updateFlashloanPremiumToProtocol", to_protocol_bps)
    admin.mine()
    crashed = await at_the_desk(crashed.scene, crashed.executor)
    chosen, _ = crashed.planner.choose_all(crashed.cases, crashed.desk)
    plans = [crashed.planner.build(one) for one in chosen]
    mine_together(crashed, plans)
    after = (await crashed.scene.look()).market
    expected = left_by(crashed, plans)
    lifted = 0
    listed = [
        [reserve for reserve in market.reserves if reserve is not None]
        for market in (crashed.view, expected, after)
    ]
    for before, foretold, found in zip(*listed, strict=True):
        assert foretold.held == found.held
        if foretold.updated == before.updated:
            continue
        assert found.supplied is not None
        assert foretold.liquidity_index == found.liquidity_index
        assert foretold.supplied == replace(found.supplied, variable=before.supplied.variable)
        lifted += foretold.liquidity_index > crashed.view.lines[before.id].liquidity_index
    assert lifted > 2


def mine_together(crashed: Crashed, plans: Sequence[Plan]) -> None:
    """Have plans mined in the block that they aim at."""
    rpc = crashed.scene.live.rpc
    sender = Sender.of(rpc, plans[0].transaction.sender)
    for plan in plans:
        sender.add(plan.id, to=plan.transaction.to, data=plan.transaction.data, gas=plan.gas_limit)
    rpc.call("evm_setNextBlockTimestamp", plans[0].opportunity.timestamp)
    sender.mine()


def left_by(crashed: Crashed, plans: Sequence[Plan]) -> AaveMarket:
    """Return the market as the planner hands it on behind the plans."""
    cases = {one.opportunity.ref: one for one in crashed.cases}
    markets, seen = Markets(), list[AaveMarket]()
    for plan in plans:
        case = markets.place(cases[plan.ref])
        markets.take(case, plan.option, plan.liquidations, plan.funding)
    last = crashed.cases[0]
    assert last.market is not None

    def placed(view: object) -> Case:
        assert isinstance(view, AaveMarket)
        seen.append(view)
        return last

    markets.place(replace(last, market=replace(last.market, case=placed)))
    return seen[0]


async def test_a_mined_plan_pays_its_forecast_and_leaves_nothing_behind(crashed: Crashed) -> None:
    live, block_fee = crashed.scene.live, crashed.desk.base_fee
    plan = max(plans_alone(crashed, crashed.planner), key=lambda one: one.forecast.net)
    weth = live.tokens["WETH"]
    before = read(live.rpc, weth, "balanceOf", RECIPIENT)
    purse = int(live.rpc.call("eth_getBalance", plan.transaction.sender, "latest"), 16)
    body = {
        "from": plan.transaction.sender,
        "to": plan.transaction.to,
        "data": "0x" + plan.transaction.data.hex(),
        "gas": hex(plan.gas_limit),
        "maxFeePerGas": hex(plan.fees.max_fee),
        "maxPriorityFeePerGas": hex(plan.fees.priority_fee),
    }
    with held_mining(live.rpc):
        tx_hash = live.rpc.call("eth_sendTransaction", body)
        live.rpc.call("evm_setNextBlockTimestamp", plan.opportunity.timestamp)
        live.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(block_fee))
        live.rpc.call("evm_mine")
    receipt = await crashed.scene.chain.wire.receipt(tx_hash)
    assert receipt is not None
    assert receipt.success
    spent = purse - int(live.rpc.call("eth_getBalance", plan.transaction.sender, "latest"), 16)
    earned = read(live.rpc, weth, "balanceOf", RECIPIENT) - before
    assert earned - spent == forecast_at(plan, crashed, receipt.gas_used).net
    assert [read(live.rpc, t, "balanceOf", crashed.executor) for t in live.tokens.values()] == (
        [0] * len(live.tokens)
    )


async def test_what_is_refused_would_not_have_paid(crashed: Crashed) -> None:
    """Planned as if gas were free and executed, they earn less than gas and the least profit."""
    free = crashed.planner_with(replace(crashed.limits, min_profit=0))
    desk = replace(crashed.desk, fees=Fees(max_fee=0, priority_fee=0), base_fee=0)
    refused = 0
    for case in crashed.cases:
        rejection = crashed.planner.plan(case, crashed.desk)
        if isinstance(rejection, Plan):
            continue
        assert rejection.reason is Reason.BELOW_MIN_PROFIT
        assert "more wei" in rejection.detail
        plan = free.plan(case, desk)
        assert isinstance(plan, Plan)
        (done,) = await crashed.run(plan)
        assert done.success, done.error
        paid = done.gas_used * crashed.desk.gas_price
        assert received(done) - paid < crashed.limits.min_profit
        refused += 1
    assert refused > 2
