"""For every pool, amount and direction: rounding is against the trader, and swaps compose."""

from hypothesis import given
from hypothesis import strategies as st

from keeper.core.values import replace
from keeper.venues.uniswap_v3.pool import PoolState, TickBand
from keeper.venues.uniswap_v3.swap_math import step_exact_in, step_exact_out
from keeper.venues.uniswap_v3.tick_math import (
    MAX_SQRT_RATIO,
    MAX_TICK,
    MIN_SQRT_RATIO,
    MIN_TICK,
    sqrt_ratio_at_tick,
    tick_at_sqrt_ratio,
)
from keeper.venues.uniswap_v3.walk import Swap
from tests.support.lending_desk import named

SPACINGS = {100: 1, 500: 10, 3_000: 60, 10_000: 200}


@st.composite
def pools(draw: st.DrawFn) -> PoolState:
    """Draw a pool of random rungs around a random price; every range has liquidity."""
    fee = draw(st.sampled_from(sorted(SPACINGS)))
    spacing = SPACINGS[fee]
    tick = draw(st.integers(-200_000, 200_000))
    low = sqrt_ratio_at_tick(tick)
    price = draw(st.integers(low, sqrt_ratio_at_tick(tick + 1) - 1))
    base = draw(st.integers(10**12, 10**26))
    middle = tick // spacing
    rungs = draw(
        st.lists(
            st.tuples(st.integers(0, 300), st.integers(1, 300), st.integers(0, 10**26)), max_size=6
        )
    )
    nets: dict[int, int] = {}
    for below, above, amount in rungs:
        lower, upper = (middle - below) * spacing, (middle + above) * spacing
        nets[lower] = nets.get(lower, 0) + amount
        nets[upper] = nets.get(upper, 0) - amount
    ticks = tuple(sorted(nets))
    return PoolState(
        address=named("aa"),
        token0=named("01"),
        token1=named("02"),
        fee=fee,
        tick_spacing=spacing,
        sqrt_price=price,
        tick=tick,
        liquidity=base + sum(amount for _, _, amount in rungs),
        band=TickBand(
            first_word=(middle - 600) // 256,
            last_word=(middle + 600) // 256,
            ticks=ticks,
            liquidity_net=tuple(nets[one] for one in ticks),
        ),
    )


def looped(
    pool: PoolState, amount: int, *, zero_for_one: bool, exact_in: bool
) -> tuple[Swap | None, list[int]]:
    """Mirror the loop of ``UniswapV3Pool.swap``; return as well what is left after each step."""
    step = step_exact_in if exact_in else step_exact_out
    price, liquidity, at = pool.sqrt_price, pool.liquidity, pool.tick
    tick: int | None = at
    limit = MIN_SQRT_RATIO + 1 if zero_for_one else MAX_SQRT_RATIO - 1
    remaining, paid, bought, left = amount, 0, 0, list[int]()
    while remaining > 0:
        stop = pool.next_stop(at, down=zero_for_one)
        if stop is None or price == limit:
            return None, left
        goal, start = stop.sqrt_price, price
        target = max(goal, limit) if zero_for_one else min(goal, limit)
        price, spent, got = step(price, target, liquidity, remaining, pool.fee)
        paid, bought = paid + spent, bought + got
        remaining -= spent if exact_in else got
        left.append(remaining)
        if price == goal:
            liquidity += -stop.liquidity_net if zero_for_one else stop.liquidity_net
            at = tick = stop.tick - 1 if zero_for_one else stop.tick
        elif price != start:
            tick = None
    moved = Swap(
        amount_in=paid, amount_out=bought, sqrt_price=price, liquidity=liquidity, tick=tick
    )
    return moved, left


amounts = st.integers(0, 90).flatmap(lambda bits: st.integers(1 << bits, 2 << bits))


@given(st.integers(MIN_SQRT_RATIO, MAX_SQRT_RATIO - 1))
def test_a_price_lies_between_its_tick_and_the_next(price: int) -> None:
    tick = tick_at_sqrt_ratio(price)
    assert MIN_TICK <= tick < MAX_TICK
    assert sqrt_ratio_at_tick(tick) <= price < sqrt_ratio_at_tick(tick + 1)


@given(st.integers(-400_000, 400_000))
def test_a_tick_is_a_basis_point_of_the_price(tick: int) -> None:
    """Two ticks make 1.0001 of the square-root price, to one part in 10**9."""
    low, high = sqrt_ratio_at_tick(tick), sqrt_ratio_at_tick(tick + 2)
    assert abs(high * 10_000 - low * 10_001) * 10**9 < high * 10_000


@given(pool=pools(), amount=amounts, zero_for_one=st.booleans())
def test_a_swap_moves_the_price_the_right_way_and_takes_all(
    *, pool: PoolState, amount: int, zero_for_one: bool
) -> None:
    swap = pool.exact_in(amount, zero_for_one=zero_for_one)
    if swap is None:
        return
    assert swap.amount_in == amount
    move = swap.sqrt_price - pool.sqrt_price
    assert move <= 0 if zero_for_one else move >= 0
    assert pool.after(swap).liquidity > 0


@given(pool=pools(), amount=amounts, zero_for_one=st.booleans())
def test_there_and_back_never_pays(*, pool: PoolState, amount: int, zero_for_one: bool) -> None:
    there = pool.exact_in(amount, zero_for_one=zero_for_one)
    if there is None or there.amount_out == 0:
        return
    back = pool.after(there).exact_in(there.amount_out, zero_for_one=not zero_for_one)
    assert back is not None
    assert back.amount_out <= amount


@given(pool=pools(), amount=amounts, zero_for_one=st.booleans())
def test_buying_what_a_sale_gives_never_costs_more_than_the_sale(
    *, pool: PoolState, amount: int, zero_for_one: bool
) -> None:
    sold = pool.exact_in(amount, zero_for_one=zero_for_one)
    if sold is None or sold.amount_out == 0:
        return
    bought = pool.exact_out(sold.amount_out, zero_for_one=zero_for_one)
    assert bought is not None
    assert bought.amount_out == sold.amount_out
    assert bought.amount_in <= amount


@given(pool=pools(), amount=amounts, zero_for_one=st.booleans())
def test_selling_what_a_purchase_takes_gives_at_least_the_purchase(
    *, pool: PoolState, amount: int, zero_for_one: bool
) -> None:
    bought = pool.exact_out(amount, zero_for_one=zero_for_one)
    if bought is None:
        return
    assert bought.amount_out == amount
    sold = pool.exact_in(bought.amount_in, zero_for_one=zero_for_one)
    assert sold is not None
    assert sold.amount_out >= amount


@given(pool=pools(), one=amounts, other=amounts, zero_for_one=st.booleans())
def test_more_in_never_gives_less_out(
    *, pool: PoolState, one: int, other: int, zero_for_one: bool
) -> None:
    small, large = sorted((one, other))
    less = pool.exact_in(small, zero_for_one=zero_for_one)
    more = pool.exact_in(large, zero_for_one=zero_for_one)
    if more is None:
        return
    assert less is not None
    assert less.amount_out <= more.amount_out


@given(pool=pools(), one=amounts, other=amounts, zero_for_one=st.booleans())
def test_two_sales_never_give_more_than_one_but_for_rounding(
    *, pool: PoolState, one: int, other: int, zero_for_one: bool
) -> None:
    """Each step of a swap rounds once each way, so splitting can win back a unit a step."""
    first = pool.exact_in(one, zero_for_one=zero_for_one)
    if first is None:
        return
    second = pool.after(first).exact_in(other, zero_for_one=zero_for_one)
    whole = pool.exact_in(one + other, zero_for_one=zero_for_one)
    if second is None or whole is None:
        return
    unit = max(1, -(-whole.amount_out // (one + other)))
    steps = 2 * (len(pool.band.ticks) + pool.band.last_word - pool.band.first_word + 3)
    assert first.amount_out + second.amount_out <= whole.amount_out + steps * (unit + 1)


@given(pool=pools(), amount=amounts, zero_for_one=st.booleans())
def test_a_narrower_band_refuses_or_says_the_same(
    *, pool: PoolState, amount: int, zero_for_one: bool
) -> None:
    word = pool.tick // pool.tick_spacing // 256
    inside = [
        (tick, net)
        for tick, net in zip(pool.band.ticks, pool.band.liquidity_net, strict=True)
        if tick // pool.tick_spacing // 256 == word
    ]
    band = TickBand(
        first_word=word,
        last_word=word,
        ticks=tuple(tick for tick, _ in inside),
        liquidity_net=tuple(net for _, net in inside),
    )
    narrow = replace(pool, band=band)
    for quote in ("exact_in", "exact_out"):
        short = getattr(narrow, quote)(amount, zero_for_one=zero_for_one)
        long = getattr(pool, quote)(amount, zero_for_one=zero_for_one)
        assert short is None or short == long


@given(
    pool=pools(),
    some=st.lists(amounts, min_size=1, max_size=6),
    zero_for_one=st.booleans(),
    exact_in=st.booleans(),
)
def test_what_was_asked_before_changes_no_answer(
    *, pool: PoolState, some: list[int], zero_for_one: bool, exact_in: bool
) -> None:
    """Of any amounts in any order, and of those about the ends of ranges, as the loop has it."""
    way = {"zero_for_one": zero_for_one, "exact_in": exact_in}
    _, left = looped(pool, max(some), **way)
    ends = [max(some) - one for one in left][:4]
    quote = pool.exact_in if exact_in else pool.exact_out
    for amount in (*some, *(end + near for end in ends for near in (1, 0, -1))):
        if amount > 0:
            expected, _ = looped(pool, amount, **way)
            assert quote(amount, zero_for_one=zero_for_one) == expected
