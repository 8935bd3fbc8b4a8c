"""Random Aave markets and accounts, extreme ones among them, for hypothesis."""

from hypothesis import strategies as st

from keeper.core.lending import AccountRef
from keeper.core.units import RAY, Address
from keeper.protocols.aave_v3.revision import RULES, Rules
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition, Category, StableDebt
from tests.support.aave_market import NOW, POOL, market, reserve

KEYS = tuple(Address(f"0x{0xC0 + i:02x}" + "00" * 19) for i in range(2))
"""Price keys of categories."""

_RELEASES = tuple({one.release: one for one in RULES.values()}.values())


def ref_of(number: int) -> AccountRef:
    """Return the account of a number."""
    return AccountRef(market=POOL, account=Address(f"0x{number * 0x9E3779B97F4A7C15:040x}"[:42]))


@st.composite
def markets(draw: st.DrawFn) -> AaveMarket:
    """A market of any release: reserves with and without interest, gaps, categories, prices."""
    release = draw(st.sampled_from(_RELEASES))
    many = draw(st.integers(1, 6))
    reserves = []
    for i in range(many):
        if draw(st.integers(0, 9)) == 0 and i:
            reserves.append(None)
            continue
        one = reserve(
            i,
            Address(f"0x{i + 1:02x}" + "ab" * 19),
            f"T{i}",
            draw(st.sampled_from((0, 2, 6, 8, 18, 27))),
            threshold_bps=draw(st.sampled_from((0, 1, 4_500, 7_800, 8_250, 9_300, 10_000))),
            emode_category=draw(st.sampled_from((0, 1, 2))) if not release.emode_bitmaps else 0,
            liquidity_index=draw(st.integers(RAY, 3 * RAY)),
            variable_index=draw(st.integers(RAY, 5 * RAY)),
            liquidity_rate=draw(st.integers(0, RAY)),
            variable_rate=draw(st.integers(0, 2 * RAY)),
            updated=NOW - draw(st.integers(0, 10_000_000)),
        )
        reserves.append(one)
    prices = {
        one.asset: draw(st.sampled_from((1, 3, 10**4, 10**8, 2_345 * 10**8, 10**15)))
        + draw(st.integers(0, 999))
        for one in reserves
        if one is not None and draw(st.integers(0, 19))
    }
    if draw(st.booleans()):
        prices[KEYS[0]] = draw(st.sampled_from((0, 10**8, 1_999 * 10**8 + 7)))
    return market(
        release,
        tuple(reserves),
        categories={i: draw(_categories(release)) for i in (1, 2) if draw(st.booleans())},
        prices=prices,
        timestamp=NOW + draw(st.integers(0, 100_000)),
    )


@st.composite
def _categories(draw: st.DrawFn, release: Rules) -> Category:
    return Category(
        threshold_bps=draw(st.sampled_from((0, 9_000, 9_700))),
        bonus_bps=10_100,
        collateral_bitmap=draw(st.integers(0, 63)) if release.emode_bitmaps else 0,
        price_source=None
        if release.emode_bitmaps
        else draw(st.sampled_from((None, KEYS[0], KEYS[1]))),
    )


@st.composite
def positions(draw: st.DrawFn, view: AaveMarket, *, stable: bool = True) -> AavePosition:
    """An account of a few or many balances: dust, usual amounts, and all that a uint128 holds."""
    numbers = st.lists(st.integers(0, len(view.reserves) - 1), unique=True, max_size=6)
    held, owed = draw(numbers), draw(numbers)
    amounts = st.one_of(
        st.integers(0, 3), st.integers(0, 10**9), st.integers(10**15, 10**21), st.just(2**128 - 1)
    )
    debts = tuple((number, draw(amounts)) for number in owed)
    extra = ()
    if stable and debts and view.rules.stable_debt and draw(st.integers(0, 9)) == 0:
        extra = (
            StableDebt(reserve=debts[0][0], principal=10**9, rate=RAY // 10, updated=NOW - 1_000),
        )
    return AavePosition(
        collateral=tuple((number, draw(amounts)) for number in held),
        debt=debts,
        stable=extra,
        emode=draw(st.sampled_from((0, 0, 1, 2, 9))),
    )
