"""For every pair, fee, amount and direction: rounding is against the trader, floats are near."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from keeper.venues.uniswap_v2.book import UniswapV2Book
from keeper.venues.uniswap_v2.pair import FEE_UNIT, PairState
from tests.support.lending_desk import USDC, WETH, named

reserves = st.integers(10, 110).flatmap(lambda bits: st.integers(1 << bits, 2 << bits))
amounts = st.integers(0, 100).flatmap(lambda bits: st.integers(1 << bits, 2 << bits))
pairs = st.builds(
    PairState,
    address=st.just(named("f1")),
    token0=st.just(WETH),
    token1=st.just(USDC),
    fee=st.sampled_from((0, 1_000, 2_500, 3_000, 10_000)),
    reserve0=reserves,
    reserve1=reserves,
)


@given(pair=pairs, amount=amounts, zero_for_one=st.booleans())
def test_the_product_less_the_fee_never_falls(
    *, pair: PairState, amount: int, zero_for_one: bool
) -> None:
    """The check of ``UniswapV2Pair.swap`` holds, and one unit more out would break it."""
    swap = pair.exact_in(amount, zero_for_one=zero_for_one)
    if swap is None:
        return
    assert kept(pair, swap.amount_in, swap.amount_out, zero_for_one=zero_for_one)
    assert not kept(pair, swap.amount_in, swap.amount_out + 1, zero_for_one=zero_for_one)


@given(pair=pairs, amount=amounts, zero_for_one=st.booleans())
def test_a_purchase_is_accepted_and_two_units_less_are_not(
    *, pair: PairState, amount: int, zero_for_one: bool
) -> None:
    swap = pair.exact_out(amount, zero_for_one=zero_for_one)
    if swap is None:
        return
    assert kept(pair, swap.amount_in, amount, zero_for_one=zero_for_one)
    assert not kept(pair, swap.amount_in - 2, amount, zero_for_one=zero_for_one)


@given(pair=pairs, amount=amounts, zero_for_one=st.booleans())
def test_the_rate_is_what_a_little_more_brings(
    *, pair: PairState, amount: int, zero_for_one: bool
) -> None:
    book = UniswapV2Book(venue="v2", pairs={(WETH, USDC): pair})
    (hop,) = book.hops(WETH, USDC) if zero_for_one else book.hops(USDC, WETH)
    reserve_in, reserve_out = (pair.reserve0, pair.reserve1)[:: 1 if zero_for_one else -1]
    swap = book.sell(hop, amount)
    if swap is None:
        return
    whole = Fraction(FEE_UNIT - pair.fee, FEE_UNIT)
    exact = whole * reserve_in * reserve_out / (reserve_in + whole * amount) ** 2
    assert abs(book.rate(hop, swap) / float(exact) - 1) < 1e-9


@given(pair=pairs, numerator=st.integers(1, 10**6), denominator=st.integers(1, 10**6))
def test_a_price_that_moved_keeps_the_product_but_for_rounding(
    pair: PairState, numerator: int, denominator: int
) -> None:
    """The square of the second reserve moves with the price, each of the two rounded down once."""
    ratio, product = Fraction(numerator, denominator), pair.reserve0 * pair.reserve1
    moved = pair.at_ratio(ratio)
    if moved is None:
        assert pair.reserve1**2 * ratio < 1 or pair.reserve0**2 < 2 * ratio
        return
    square = pair.reserve1**2 * ratio
    assert moved.reserve1**2 <= square < (moved.reserve1 + 1) ** 2
    assert moved.reserve0 * moved.reserve1 <= product < (moved.reserve0 + 1) * moved.reserve1


def kept(pair: PairState, paid: int, out: int, *, zero_for_one: bool) -> bool:
    """Mirror the require of ``UniswapV2Pair.swap`` with the fee as a parameter."""
    reserve_in, reserve_out = (pair.reserve0, pair.reserve1)[:: 1 if zero_for_one else -1]
    adjusted = (reserve_in + paid) * FEE_UNIT - paid * pair.fee
    return adjusted * (reserve_out - out) >= reserve_in * reserve_out * FEE_UNIT
