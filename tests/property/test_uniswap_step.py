"""A step of a swap against ``SwapMath.computeSwapStep`` of v3-core 1.0.1, branch for branch."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from keeper.venues.uniswap_v3.swap_math import step_exact_in, step_exact_out
from keeper.venues.uniswap_v3.tick_math import MAX_SQRT_RATIO, MIN_SQRT_RATIO

MILLION, WORD = 10**6, 2**256
Step = tuple[int, int, int]
prices = st.integers(33, 159).flatmap(lambda bits: st.integers(1 << bits, 2 << bits))
large = st.integers(60, 126).flatmap(lambda bits: st.integers(1 << bits, 2 << bits))
liquidities = st.one_of(large, large, st.integers(0, 2**60), st.just(0))


@st.composite
def ranges(draw: st.DrawFn) -> tuple[int, int, int]:
    """Return a price, where its range ends, often near by, and the liquidity between."""
    price = draw(prices)
    away = draw(st.integers(0, 40).flatmap(lambda bits: st.integers(0, price >> bits)))
    far = draw(st.integers(0, 120))
    goal = draw(st.sampled_from((price - away, price + away, price + away, price >> far)))
    return price, max(MIN_SQRT_RATIO, min(goal, MAX_SQRT_RATIO - 1)), draw(liquidities)


def amount0(one: int, other: int, liquidity: int, *, up: bool) -> int:
    """``getAmount0Delta``."""
    low, high = min(one, other), max(one, other)
    rounds = _up if up else _down
    return rounds(rounds((liquidity << 96) * (high - low), high), low)


def amount1(one: int, other: int, liquidity: int, *, up: bool) -> int:
    """``getAmount1Delta``."""
    return (_up if up else _down)(liquidity * abs(one - other), 1 << 96)


def _up(number: int, by: int) -> int:
    return -(-number // by)


def _down(number: int, by: int) -> int:
    return number // by


def after_input(price: int, liquidity: int, amount: int, *, down: bool) -> int:
    """``getNextSqrtPriceFromInput``, in words that overflow."""
    if not down:
        return price + _down(amount << 96, liquidity)
    if amount == 0:
        return price
    all_of_it = liquidity << 96
    product = amount * price % WORD
    if product // amount == price and (all_of_it + product) % WORD >= all_of_it:
        return _up(all_of_it * price, all_of_it + product)
    return _up(all_of_it, _down(all_of_it, price) + amount)


def after_output(price: int, liquidity: int, amount: int, *, down: bool) -> int:
    """``getNextSqrtPriceFromOutput``."""
    if down:
        return price - _up(amount << 96, liquidity)
    all_of_it = liquidity << 96
    return _up(all_of_it * price, all_of_it - amount * price)


def computed(price: int, goal: int, liquidity: int, remaining: int, fee: int) -> Step:
    """``computeSwapStep``: next price, what is paid with the fee, what is bought."""
    down, sells = price >= goal, remaining >= 0
    came, went = (amount0, amount1) if down else (amount1, amount0)
    paid = came(price, goal, liquidity, up=True)
    bought = went(price, goal, liquidity, up=False)
    less_fee = remaining * (MILLION - fee) // MILLION
    if (less_fee >= paid) if sells else (-remaining >= bought):
        after = goal
    elif sells:
        after = after_input(price, liquidity, less_fee, down=down)
    else:
        after = after_output(price, liquidity, -remaining, down=down)
    if not (after == goal and sells):
        paid = came(price, after, liquidity, up=True)
    if not (after == goal and not sells):
        bought = went(price, after, liquidity, up=False)
    if not sells:
        bought = min(bought, -remaining)
    charged = -(-paid * fee // (MILLION - fee))
    if sells and after != goal:
        charged = remaining - paid
    return after, paid + charged, bought


fees = st.sampled_from((0, 100, 500, 3_000, 10_000, 999_999))
shares = st.one_of(st.just(1 << 20), st.integers(1, 1 << 20))
"""Of what brings a step to its end, in parts of ``1 << 20``."""
nearby = st.integers(-2, 2)


@settings(max_examples=300)
@given(drawn=ranges(), fee=fees, share=shares, near=nearby)
@example(drawn=(1 << 96, (1 << 96) + (1 << 60), 1 << 127), fee=100, share=1 << 20, near=0)
def test_what_is_sold_in_a_step_is_the_contract_s(
    *, drawn: tuple[int, int, int], fee: int, share: int, near: int
) -> None:
    """Of parts of the amount that just reaches the end, and of those about it."""
    price, goal, liquidity = drawn
    whole = (amount0 if price >= goal else amount1)(price, goal, liquidity, up=True)
    amount = max((_up(whole * MILLION, MILLION - fee) * share >> 20) + near, 1)
    expected = computed(price, goal, liquidity, amount, fee)
    assert step_exact_in(price, goal, liquidity, amount, fee) == expected


@settings(max_examples=300)
@given(drawn=ranges(), fee=fees, share=shares, near=nearby)
@example(drawn=(1 << 96, (1 << 96) - (1 << 60), (1 << 127) + 1), fee=100, share=1 << 20, near=-1)
def test_what_is_bought_in_a_step_is_the_contract_s(
    *, drawn: tuple[int, int, int], fee: int, share: int, near: int
) -> None:
    """Of parts of all that there is up to the end, and of amounts about it."""
    price, goal, liquidity = drawn
    whole = (amount1 if price >= goal else amount0)(price, goal, liquidity, up=False)
    amount = max((whole * share >> 20) + near, 1)
    expected = computed(price, goal, liquidity, -amount, fee)
    assert step_exact_out(price, goal, liquidity, amount, fee) == expected
