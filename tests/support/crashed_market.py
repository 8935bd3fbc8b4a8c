"""A market of Aave's in a crash, with an executor and a planner on it, and what plans come to."""

from dataclasses import dataclass

from keeper.app.books import valuation
from keeper.chain.fees import fees_for
from keeper.core.accounting import Settlement, Waterfall, waterfall
from keeper.core.chain import Simulated, next_base_fee
from keeper.core.plan import Plan
from keeper.core.ports import FlashSource, SwapVenue
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.devnet.prices import oracle_prices
from keeper.devnet.sender import Sender
from keeper.devnet.uniswap_v2 import deploy_uniswap_v2, open_pair
from keeper.planner.case import Case, Desk, case_of
from keeper.planner.costs import GasModel, Limits
from keeper.planner.planner import Planner
from keeper.planner.trade import Terms
from keeper.protocols.aave_v3.state import AaveMarket
from keeper.scanner.scan import Book, scan
from keeper.venues.flash_loans import AaveV3FlashSource
from keeper.venues.uniswap_v2.venue import UniswapV2Settings, UniswapV2Venue
from keeper.venues.uniswap_v3.venue import UniswapV3Settings, UniswapV3Venue
from tests.support.aave_scene import Look, Scene

NEXT_BLOCK_S = 12
GWEI = 10**9
ALL_TIERS = (100, 500, 3_000, 10_000)


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
    lender: FlashSource

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


def open_pairs(scene: Scene) -> Address:
    """Open small pairs that pay a little more for the first asset; return their factory."""
    live = scene.live
    prices = oracle_prices(live)
    supplier = Sender.of(live.rpc, live.market.accounts.supplier)
    exchange = deploy_uniswap_v2(supplier)
    for symbols in (("WBTC", "WETH"), ("WETH", "USDC"), ("WETH", "DAI"), ("WBTC", "USDC")):
        one, other = (
            (live.tokens[s], dollars * 10 ** (8 + live.market.asset(s).decimals) // prices[s])
            for s, dollars in zip(symbols, (99_000, 100_000), strict=True)
        )
        open_pair(supplier, exchange, (one, other))
    supplier.mine()
    return exchange.factory.address


async def at_the_desk(
    scene: Scene,
    executor: Address,
    *,
    pairs: Address | None = None,
    fee_tiers: tuple[int, ...] = ALL_TIERS,
) -> Crashed:
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
            fees=fee_tiers,
            intermediates=(market.weth, market.asset("USDC").token),
        ),
    )
    venues: list[SwapVenue] = [venue]
    if pairs is not None:
        settings = UniswapV2Settings(factory=pairs, intermediates=(market.weth,))
        venues.append(UniswapV2Venue(scene.chain.reader, settings))
    flash = AaveV3FlashSource(scene.chain.reader, pool=market.pool, executor=executor)
    limits = Limits(min_profit=10**15, max_gas_price=1000 * GWEI)
    terms = Terms(
        executor=executor,
        operator=market.accounts.keeper,
        native=market.weth,
        limits=limits,
        gas=GasModel(),
    )
    desk = await Planner(terms=terms, venues=venues, lenders=(flash,)).desk(
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
        lender=flash,
    )


def plans_alone(crashed: Crashed, planner: Planner) -> list[Plan]:
    """Return the plan of each account as if it were the only one."""
    made = [planner.plan(case, crashed.desk) for case in crashed.cases]
    return [one for one in made if isinstance(one, Plan)]


def realised(crashed: Crashed, plan: Plan, done: Simulated) -> Waterfall:
    """Return the books of an executed plan, from its logs and what the contract returned."""
    fee = crashed.lender.fee_paid(done.logs) or (None, 0)
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
