"""Two small isolated pools made by hand, for tests that need no chain."""

from collections.abc import Mapping

from keeper.core.lending import AccountRef
from keeper.core.units import WAD, Address
from keeper.core.values import replace
from keeper.protocols.compound_v2.rules import Stored
from keeper.protocols.venus_isolated.health import view_at
from keeper.protocols.venus_isolated.state import (
    Deployment,
    Entry,
    Market,
    Pool,
    Position,
    Source,
)

BLOCK = 1_000
NOW = 1_700_000_000


def place(number: int) -> Address:
    return Address("0x" + f"{number:02x}" * 20)


REGISTRY, ORACLE, MODEL, ALICE = (place(number) for number in (0x01, 0x02, 0x03, 0x0A))
MAIN, OTHER = place(0x11), place(0x12)
WETH, USDC, WBTC, DAI = (place(number) for number in (0xA0, 0xA1, 0xA2, 0xA3))
TOKENS = tuple(place(number) for number in (0xC0, 0xC1, 0xC2, 0xC3))
PRICES = {
    TOKENS[0]: 2_000 * 10**18,
    TOKENS[1]: 1 * 10**30,
    TOKENS[2]: 30_000 * 10**28,
    TOKENS[3]: 1 * 10**18,
}
LEAST = 100 * WAD


def market(number: int, pool: Address, asset: Address, symbol: str, places: int) -> Market:
    """Return a market at an exchange rate of a little over one fiftieth."""
    supplied = 10**9 * 10**places
    return Market(
        number=number,
        token=TOKENS[number],
        comptroller=pool,
        asset=asset,
        symbol=symbol,
        unit=10**places,
        rate_model=MODEL,
        listed=True,
        threshold=8 * WAD // 10,
        paused=frozenset(),
        forced=False,
        seize_share=5 * WAD // 100,
        cash_is_balance=False,
        reserve_factor=WAD // 10,
        stored=Stored(
            cash=supplied,
            borrows=supplied // 2,
            reserves=supplied // 1_000,
            index=WAD + WAD // 7,
            supply=70 * 10**9 * 10**8,
        ),
        bad_debt=supplied // 10**5,
        rate=10**10,
        accrued_at=BLOCK - 100,
        initial_rate=WAD,
    )


MARKETS = (
    market(0, MAIN, WETH, "WETH", 18),
    market(1, MAIN, USDC, "USDC", 6),
    market(2, MAIN, WBTC, "WBTC", 8),
    market(3, OTHER, DAI, "DAI", 18),
)


def pool(comptroller: Address) -> Pool:
    return Pool(
        comptroller=comptroller,
        oracle=ORACLE,
        close_factor=WAD // 2,
        incentive=11 * WAD // 10,
        least_collateral=LEAST,
    )


def deployment(markets: tuple[Market, ...] = MARKETS, **changed: object) -> Deployment:
    """Return a deployment without prices."""
    plain = Deployment(
        registry=REGISTRY,
        by_second=False,
        pools={one: pool(one) for one in (MAIN, OTHER)},
        markets={one.number: one for one in markets},
        numbers={one.token: one.number for one in markets},
        sources={one.token: Source(address=ORACLE, multiplier=0) for one in markets},
        block=BLOCK,
        timestamp=NOW,
    )
    return replace(plain, **changed)  # type: ignore[arg-type]  # fields by name


def view(
    of: Deployment | None = None, prices: Mapping[str, int] = PRICES, *, block: int = BLOCK
) -> Deployment:
    """Return a deployment viewed at a block and at prices."""
    return view_at(of or deployment(), block, NOW + 12 * (block - BLOCK), prices)


def account(collateral: Mapping[int, int], debt: Mapping[int, int]) -> Position:
    """Return a position of cTokens and principals by market, owed since the stored index."""
    return Position(
        entries=tuple(
            Entry(
                market=number,
                tokens=collateral.get(number, 0),
                principal=debt.get(number, 0),
                principal_index=MARKETS[number].stored.index if number in debt else 0,
            )
            for number in sorted({*collateral, *debt})
        )
    )


def tokens(number: int, dollars: int) -> int:
    """Return the cTokens that so many dollars buy."""
    stored = MARKETS[number].stored
    underlying = dollars * 10**36 // PRICES[TOKENS[number]]
    rate = (stored.cash + stored.borrows - stored.reserves) * WAD // stored.supply
    return underlying * WAD // rate


def owed(number: int, cents: int) -> int:
    """Return the raw units that so many cents of a dollar are."""
    return cents * 10**34 // PRICES[TOKENS[number]]


def ref(owner: Address = ALICE) -> AccountRef:
    """Return an account of the main pool."""
    return AccountRef(market=MAIN, account=owner)
