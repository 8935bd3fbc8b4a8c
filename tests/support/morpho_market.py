"""A small Morpho Blue deployment made by hand, for tests that need no chain."""

from keeper.core.lending import AccountRef
from keeper.core.units import WAD, Address
from keeper.core.values import replace
from keeper.protocols.morpho_blue import codec
from keeper.protocols.morpho_blue.health import view_at
from keeper.protocols.morpho_blue.rules import PreTerms, Totals
from keeper.protocols.morpho_blue.state import (
    IsolatedMarket,
    MarketParams,
    MorphoMarket,
    MorphoPosition,
    PreLiquidation,
    RateModel,
    Token,
)

NOW = 1_700_000_000
MORPHO = Address("0x" + "bb" * 20)
FACTORY = Address("0x" + "fa" * 20)
ALICE = Address("0x" + "0a" * 20)
IRM = Address("0x" + "1e" * 20)

WETH, USDC, WBTC = (
    Token(address=Address("0x" + f"{number:02x}" * 20), symbol=symbol, unit=10**decimals)
    for number, symbol, decimals in ((0xA0, "WETH", 18), (0xA1, "USDC", 6), (0xA2, "WBTC", 8))
)
DOLLARS = {"WETH": 2_000, "USDC": 1, "WBTC": 30_000}


def oracle_of(collateral: Token, loan: Token) -> Address:
    """Return the address of a pair's oracle."""
    return Address("0x" + collateral.address[2:22] + loan.address[22:])


def price_of(collateral: Token, loan: Token) -> int:
    """Return a pair's price at the scale that Morpho expects."""
    dollars = DOLLARS[collateral.symbol]
    return 10**36 * dollars * loan.unit // (DOLLARS[loan.symbol] * collateral.unit)


def isolated(
    collateral: Token = WETH,
    loan: Token = USDC,
    *,
    lltv: int = 86 * 10**16,
    model: RateModel = RateModel.ADAPTIVE,
    **changed: object,
) -> IsolatedMarket:
    """Return a market with nine tenths of its supply lent out, last touched a day ago."""
    params = MarketParams(loan.address, collateral.address, oracle_of(collateral, loan), IRM, lltv)
    supplied = 10_000_000 * loan.unit // DOLLARS[loan.symbol]
    borrowed = supplied * 9 // 10
    plain = IsolatedMarket(
        id=codec.id_of(params),
        params=params,
        loan=loan,
        collateral=collateral,
        model=model,
        feeds=(),
        totals=Totals(
            supplied, supplied * 10**6 * 98 // 100, borrowed, borrowed * 10**6 * 97 // 100
        ),
        updated=NOW - 86_400,
        fee=10**17,
        stored_rate=1_268_391_679,
    )
    return replace(plain, **changed)  # type: ignore[arg-type]  # fields by name


MARKETS = (
    isolated(WETH, USDC),
    isolated(WBTC, WETH, lltv=915 * 10**15),
    isolated(USDC, WBTC, lltv=77 * 10**16, model=RateModel.FIXED),
)
PRICES = {one.params.oracle: price_of(one.collateral, one.loan) for one in MARKETS}
EARLY = PreLiquidation(
    address=Address("0x" + "ea" * 20),
    market=MARKETS[0].id,
    terms=PreTerms(80 * 10**16, 10**17, 5 * 10**17, 101 * 10**16, 104 * 10**16),
    oracle=Address("0x" + "0e" * 20),
    feeds=(),
    users=frozenset((ALICE,)),
)
EARLY_PRICES = {**PRICES, EARLY.oracle: PRICES[MARKETS[0].params.oracle]}


def deployment(
    markets: tuple[IsolatedMarket, ...] = MARKETS,
    *,
    early: tuple[PreLiquidation, ...] = (EARLY,),
    prices: dict[str, int] | None = None,
    timestamp: int = NOW,
) -> MorphoMarket:
    """Return a deployment viewed at a time and at prices."""
    bare = MorphoMarket(
        morpho=MORPHO,
        factories=(FACTORY,) if early else (),
        markets={one.id: one for one in markets},
        pre_liquidations={one.address: one for one in early},
        block=1,
        timestamp=timestamp,
    )
    return view_at(bare, timestamp, EARLY_PRICES if prices is None else prices)


def account(
    view: MorphoMarket, market: str, *, ltv_bps: int, collateral: int = 10 * WAD
) -> MorphoPosition:
    """Return a position of this loan to value, at the view's price and time."""
    own = view.market_of(market)
    assert own is not None
    price = view.prices[own.params.oracle]
    totals = view.lines[own.id].totals
    debt = collateral * price // 10**36 * ltv_bps // 10_000
    shares = debt * (totals.borrow_shares + 10**6) // (totals.borrow_assets + 1)
    return MorphoPosition(market=market, shares=shares, collateral=collateral)


def ref(market: str, owner: Address = ALICE) -> AccountRef:
    """Return an account of a market."""
    return AccountRef(market=market, account=owner)
