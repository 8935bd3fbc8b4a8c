"""Hand-made pools, a lender and a two-line protocol for planning without a chain."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from keeper.core.chain import BlockRef, Fees
from keeper.core.errors import RefusedError
from keeper.core.lending import (
    AccountRef,
    AssetValue,
    Health,
    Option,
    ProtocolCall,
    Rejection,
    SeizeQuote,
    Valuation,
)
from keeper.core.plan import Opportunity, Plan
from keeper.core.units import BPS, WAD, Address, Hash32
from keeper.planner.case import Case, Desk
from keeper.planner.costs import GasModel, Limits
from keeper.planner.planner import Planner
from keeper.planner.trade import Terms
from keeper.venues.flash_loans import AaveV3LoanBook
from keeper.venues.pairs import pair_of
from keeper.venues.uniswap_v3.book import UniswapV3Book
from keeper.venues.uniswap_v3.pool import PoolState, TickBand
from keeper.venues.uniswap_v3.tick_math import tick_at_sqrt_ratio


def named(byte: str) -> Address:
    """Return an address made of one repeated byte."""
    return Address("0x" + byte * 20)


WETH, USDC, WBTC, DAI = named("11"), named("22"), named("33"), named("44")
LENDER, PROTOCOL, EXECUTOR, OPERATOR = named("a1"), named("a2"), named("a3"), named("a4")
ACCOUNT = named("b1")
ASSETS = {
    WETH: AssetValue(symbol="WETH", price=2_000 * 10**8, unit=10**18),
    USDC: AssetValue(symbol="USDC", price=10**8, unit=10**6),
    WBTC: AssetValue(symbol="WBTC", price=60_000 * 10**8, unit=10**8),
    DAI: AssetValue(symbol="DAI", price=10**8, unit=10**18),
}
VALUATION = Valuation(assets=ASSETS, native_price=2_000 * 10**8)
BLOCK = BlockRef(
    number=100,
    hash=Hash32("0x" + "cd" * 32),
    parent_hash=Hash32("0x" + "ce" * 32),
    timestamp=1_000_000,
    base_fee=10**9,
    gas_used=15_000_000,
    gas_limit=30_000_000,
)


def pool_at_par(
    token_a: Address, token_b: Address, *, dollars: int, fee: int = 500, number: int = 1
) -> PoolState:
    """Return a pool at the oracle's prices whose virtual reserves are worth so many dollars a side.

    Half of the liquidity ends within 6 % of the price, so that large swaps cross ticks.
    """
    spacing = {100: 1, 500: 10, 3_000: 60}[fee]
    token0, token1 = pair_of(token_a, token_b)
    raw0, raw1 = (dollars * 10**8 * ASSETS[t].unit // ASSETS[t].price for t in (token0, token1))
    sqrt_price = isqrt((raw1 << 192) // raw0)
    liquidity = isqrt(raw0 * raw1)
    tick = tick_at_sqrt_ratio(sqrt_price)
    reach = 600 // spacing * spacing
    middle = tick // spacing * spacing
    word = 256 * spacing
    return PoolState(
        address=Address(f"0x{int(token0, 16) ^ int(token1, 16) ^ (fee * 1000 + number):040x}"),
        token0=token0,
        token1=token1,
        fee=fee,
        tick_spacing=spacing,
        sqrt_price=sqrt_price,
        tick=tick,
        liquidity=liquidity,
        band=TickBand(
            first_word=(middle - 6_000) // word,
            last_word=(middle + 6_000) // word,
            ticks=(middle - reach, middle + reach),
            liquidity_net=(liquidity // 2, -(liquidity // 2)),
        ),
    )


def book_of(*pools: PoolState, intermediates: tuple[Address, ...] = ()) -> UniswapV3Book:
    """Return a book of these pools."""
    by_pair: dict[tuple[Address, Address], tuple[Address, ...]] = {}
    for pool in pools:
        pair = (pool.token0, pool.token1)
        by_pair[pair] = (*by_pair.get(pair, ()), pool.address)
    return UniswapV3Book(
        venue="uniswap_v3",
        pools={pool.address: pool for pool in pools},
        by_pair=by_pair,
        intermediates=intermediates,
    )


def desk_of(
    *pools: PoolState,
    intermediates: tuple[Address, ...] = (),
    premium_bps: int = 5,
    cash: int = 10**30,
    base_fee: int = 10**9,
) -> Desk:
    """Return a desk with these pools and one lender that has as much of everything."""
    loans = AaveV3LoanBook(
        source="aave_v3",
        pool=LENDER,
        premium_bps=premium_bps,
        rounds_up=False,
        available=dict.fromkeys(ASSETS, cash),
    )
    return Desk(
        block=BLOCK,
        books={"uniswap_v3": book_of(*pools, intermediates=intermediates)},
        loans=(loans,),
        fees=Fees(max_fee=4 * 10**9, priority_fee=10**8),
        base_fee=base_fee,
    )


def terms_of(limits: Limits | None = None) -> Terms:
    """Return terms of a planner whose native coin is WETH."""
    return Terms(
        executor=EXECUTOR,
        operator=OPERATOR,
        native=WETH,
        limits=limits or Limits(min_profit=0, max_gas_price=100 * 10**9),
        gas=GasModel(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bonus:
    """A protocol in two lines: a bonus on the oracle's price, a share of it kept.

    ``held`` caps what can be seized; ``dust`` is a leftover of the debt that it refuses;
    ``headroom`` is asked for on top of every repayment.
    """

    bonus_bps: int = 500
    fee_bps: int = 1_000
    held: int = 10**40
    owed: int = 10**40
    dust: int = 0
    headroom: int = 0

    def seize(self, option: Option, repay: int) -> SeizeQuote:
        left = self.owed - repay
        if 0 < left < self.dust:
            raise RefusedError("must not leave dust")
        repay = min(repay, self._worth_of_held(option))
        seized = self._worth(option, repay) * (BPS + self.bonus_bps) // BPS
        bonus = seized - seized * BPS // (BPS + self.bonus_bps)
        return SeizeQuote(
            repay=repay,
            seized=seized,
            protocol_fee=bonus * self.fee_bps // BPS,
            headroom=self.headroom,
        )

    def _worth_of_held(self, option: Option) -> int:
        """Return the most debt that the collateral held pays for."""
        debt, collateral = ASSETS[option.debt], ASSETS[option.collateral]
        base = self.held * BPS // (BPS + self.bonus_bps)
        return base * collateral.price * debt.unit // (collateral.unit * debt.price)

    def _worth(self, option: Option, repay: int) -> int:
        debt, collateral = ASSETS[option.debt], ASSETS[option.collateral]
        return repay * debt.price * collateral.unit // (debt.unit * collateral.price)

    def gas(self, option: Option, quotes: Sequence[SeizeQuote]) -> int:
        del option
        return 330_000 + 150_000 * len(quotes)

    def calls(
        self, option: Option, quote: SeizeQuote, executor: Address
    ) -> tuple[ProtocolCall, ...]:
        data = b"\x01\x02\x03\x04" + quote.repay.to_bytes(32) + int(executor, 16).to_bytes(32)
        return (
            ProtocolCall(
                target=PROTOCOL,
                data=data,
                token=option.debt,
                spender=PROTOCOL,
                amount=quote.repay,
            ),
        )


def case_with(*options: Option, protocol: Bonus | None = None, account: Address = ACCOUNT) -> Case:
    """Return an account that may be liquidated in these ways."""
    rules = protocol or Bonus()
    opportunity = Opportunity(
        ref=AccountRef(market=PROTOCOL, account=account),
        block=BLOCK,
        timestamp=BLOCK.timestamp + 12,
        health=Health(
            health_factor=WAD * 99 // 100, liquidatable=True, collateral_base=1, debt_base=1
        ),
        options=options,
        trigger="a test",
    )
    return Case(
        opportunity=opportunity,
        deployment="bonus.local",
        valuation=VALUATION,
        seize=rules.seize,
        calls=rules.calls,
        gas=rules.gas,
    )


def option_of(collateral: Address, debt: Address, *, dollars: int) -> Option:
    """Return a pair of which debt worth so many dollars may be repaid."""
    value = ASSETS[debt]
    raw = dollars * 10**8 * value.unit // value.price
    return Option(collateral=collateral, debt=debt, max_repay=raw)


def markets(dollars: int, pairs: Sequence[tuple[Address, Address]]) -> tuple[PoolState, ...]:
    """Return a pool of the 0.05 % tier for each pair."""
    return tuple(pool_at_par(a, b, dollars=dollars) for a, b in pairs)


DEEP = 50_000_000
TRIANGLE = markets(DEEP, [(WETH, USDC), (WBTC, WETH), (WBTC, USDC)])


def planned(case: Case, desk: Desk, limits: Limits | None = None) -> Plan:
    """Return the plan, which there must be."""
    found = Planner(terms=terms_of(limits), venues=(), lenders=()).plan(case, desk)
    assert isinstance(found, Plan), found
    return found


def refused(case: Case, desk: Desk, limits: Limits | None = None) -> Rejection:
    """Return why there is no plan, which there must not be."""
    found = Planner(terms=terms_of(limits), venues=(), lenders=()).plan(case, desk)
    assert isinstance(found, Rejection), found
    return found
