"""Plans on a real market come to exactly what they forecast, alone and one after the other."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from keeper.app.books import valuation
from keeper.chain.fees import fees_for
from keeper.core.accounting import Settlement, Waterfall, waterfall
from keeper.core.chain import Simulated, next_base_fee
from keeper.core.lending import Reason
from keeper.core.plan import Plan
from keeper.core.units import Address
from keeper.devnet.crash import crash
from keeper.devnet.prices import held_mining
from keeper.devnet.sender import read
from keeper.planner.case import Case, Desk, case_of
from keeper.planner.costs import GasModel, Limits
from keeper.planner.planner import Planner
from keeper.planner.trade import Terms
from keeper.protocols.aave_v3.state import AaveMarket
from keeper.scanner.scan import Book, scan
from keeper.venues.flash_loans import AaveV3FlashSource
from keeper.venues.uniswap_v3.venue import UniswapV3Settings, UniswapV3Venue
from tests.support.aave_scene import Look, Scene, open_scene
from tests.support.executor_stage import RECIPIENT, deploy, executor_artifact
from tests.support.market_node import MarketNode, forked_market

NEXT_BLOCK_S = 12
GWEI = 10**9
UNSIGNED_BYTES = 60
"""Of a transaction, besides its data and signature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crashed:
    """A market six steps into its crash, with an executor and a planner on it."""

    scene: Scene
    look: Look
    view: AaveMarket
    cases: tuple[Case, ...]
    executor: Address
    desk: Desk
    limits: Limits
    flash: AaveV3FlashSource

    @property
    def planner(self) -> Planner:
        return self.planner_with(self.limits)

    def planner_with(self, limits: Limits, gas: GasModel | None = None) -> Planner:
        market = self.scene.live.market
        terms = Terms(
            executor=self.executor,
            operator=market.accounts.keeper,
            native=market.weth,
            limits=limits,
            gas=gas or GasModel(),
        )
        return Planner(terms=terms, venues=(), lenders=())

    async def run(self, *plans: Plan) -> list[Simulated]:
        """Execute plans one after the other in the block that they aim at."""
        return await self.scene.chain.simulator.simulate(
            [plan.transaction for plan in plans],
            base=self.look.block,
            timestamp=self.cases[0].opportunity.timestamp,
            base_fee=self.desk.base_fee,
            overrides={},
        )


@pytest.fixture
async def crashed(anvil_binary: Path, local_market: MarketNode) -> AsyncIterator[Crashed]:
    with forked_market(anvil_binary, local_market) as node:
        market = node.market
        who = market.accounts
        for step in crash(node.live):
            if step.number == 6:
                break
        contract = deploy(
            node.live.rpc, who.deployer, executor_artifact(), who.deployer, who.keeper, RECIPIENT
        )
        async with open_scene(node.live, node.anvil.http_url) as scene:
            yield await at_the_desk(scene, contract.address)


async def at_the_desk(scene: Scene, executor: Address) -> Crashed:
    market, look = scene.live.market, await scene.look()
    book = Book(
        block=look.block,
        market=look.market,
        positions=look.positions,
        prices=look.prices,
        problems={},
    )
    timestamp = look.block.timestamp + NEXT_BLOCK_S
    found = scan(
        scene.adapter,
        book,
        number=book.block.number + 1,
        timestamp=timestamp,
        trigger="the crash",
    )
    venue = UniswapV3Venue(
        scene.chain.reader,
        UniswapV3Settings(
            factory=market.uniswap_factory,
            intermediates=(market.weth, market.asset("USDC").token),
        ),
    )
    flash = AaveV3FlashSource(scene.chain.reader, pool=market.pool, executor=executor)
    limits = Limits(min_profit=10**15, max_gas_price=1000 * GWEI)
    terms = Terms(
        executor=executor,
        operator=market.accounts.keeper,
        native=market.weth,
        limits=limits,
        gas=GasModel(),
    )
    desk = await Planner(terms=terms, venues=(venue,), lenders=(flash,)).desk(
        found.opportunities,
        look.block,
        fees=fees_for(look.block, priority_fee=GWEI),
        base_fee=next_base_fee(look.block),
    )
    values = valuation(scene.adapter, found.view, market.weth, market=market.pool, reference={})
    cases = tuple(
        case_of(
            scene.adapter,
            found.view,
            look.positions[one.ref],
            opportunity=one,
            valuation=values,
        )
        for one in found.opportunities
    )
    return Crashed(
        scene=scene,
        look=look,
        view=found.view,
        cases=cases,
        executor=executor,
        desk=desk,
        limits=limits,
        flash=flash,
    )


async def test_each_plan_comes_to_its_forecast_to_the_wei(crashed: Crashed) -> None:
    taken = plans_alone(crashed, crashed.planner)
    for plan in taken:
        (done,) = await crashed.run(plan)
        assert done.success, f"{plan.id}: {done.error}"
        assert realised(crashed, plan, done) == forecast_at(plan, crashed, done.gas_used), plan.id
    assert len(taken) > 10
    assert {len(plan.route) for plan in taken} >= {1, 2, 3}


async def test_the_gas_estimate_is_near_and_the_limit_is_enough(crashed: Crashed) -> None:
    for plan in plans_alone(crashed, crashed.planner):
        (done,) = await crashed.run(plan)
        estimate = plan.forecast.gas // crashed.desk.gas_price
        assert estimate * 80 // 100 < done.gas_used < estimate * 120 // 100, plan.id
        assert done.gas_used < plan.gas_limit * 90 // 100
        size = len(plan.transaction.data) + UNSIGNED_BYTES
        expected = GasModel().size(len(plan.route))
        assert expected * 2 // 3 < size <= expected, plan.id


async def test_a_tip_comes_out_of_the_proceeds(crashed: Crashed) -> None:
    planner = crashed.planner_with(replace(crashed.limits, tip_bps=1_000))
    plan = max(plans_alone(crashed, planner), key=lambda one: one.forecast.net)
    (done,) = await crashed.run(plan)
    assert done.success, done.error
    assert plan.tip > 10**15
    assert realised(crashed, plan, done) == forecast_at(plan, crashed, done.gas_used)


async def test_plans_made_together_all_land_in_one_block_as_forecast(crashed: Crashed) -> None:
    """What they do to the pools is counted on; a flash premium's lift of an index is not."""
    made = crashed.planner.plan_all(crashed.cases, crashed.desk)
    together = [one for one in made if isinstance(one, Plan)]
    results = await crashed.run(*together)
    errors = [
        received(one) - forecast_received(p) for p, one in zip(together, results, strict=True)
    ]
    assert all(one.success for one in results)
    assert sum(error == 0 for error in errors) > len(together) * 8 // 10
    assert all(abs(error) < 10**9 for error in errors)

    alone = plans_alone(crashed, crashed.planner)
    landed = await crashed.run(*alone)
    assert not all(one.success for one in landed)
    assert sum(received(one) for one in results) > sum(received(o) for o in landed if o.success)


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
    free = crashed.planner_with(replace(crashed.limits, min_profit=0), GasModel(base=0, hop=0))
    refused = 0
    for case in crashed.cases:
        rejection = crashed.planner.plan(case, crashed.desk)
        if isinstance(rejection, Plan):
            continue
        assert rejection.reason is Reason.BELOW_MIN_PROFIT
        assert "more wei" in rejection.detail
        plan = free.plan(case, crashed.desk)
        assert isinstance(plan, Plan)
        (done,) = await crashed.run(plan)
        assert done.success, done.error
        paid = done.gas_used * crashed.desk.gas_price
        assert received(done) - paid < crashed.limits.min_profit
        refused += 1
    assert refused > 2


def plans_alone(crashed: Crashed, planner: Planner) -> list[Plan]:
    """Return the plan of each account as if it were the only one."""
    made = [planner.plan(case, crashed.desk) for case in crashed.cases]
    return [one for one in made if isinstance(one, Plan)]


def realised(crashed: Crashed, plan: Plan, done: Simulated) -> Waterfall:
    """Return the books of an executed plan, from its logs and what the contract returned."""
    fee = crashed.flash.fee_paid(done.logs)
    assert fee is not None
    settlement = Settlement(
        liquidations=crashed.scene.adapter.decode(crashed.view, done.logs),
        flash_fee_asset=fee[0],
        flash_fee=fee[1],
        received=received(done),
        tip=plan.tip,
        gas=done.gas_used * crashed.desk.gas_price,
    )
    return waterfall(settlement, plan.valuation)


def received(done: Simulated) -> int:
    """Return what reached the recipient, as the contract reports it."""
    return int.from_bytes(done.return_data)


def forecast_received(plan: Plan) -> int:
    return plan.forecast.net + plan.forecast.gas


def forecast_at(plan: Plan, crashed: Crashed, gas_used: int) -> Waterfall:
    """Return the forecast with the gas that the execution used."""
    gas = gas_used * crashed.desk.gas_price
    return replace(plan.forecast, gas=gas, net=forecast_received(plan) - gas)
