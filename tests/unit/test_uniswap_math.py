"""Known values of TickMath and the shape of one swap step."""

import pytest

from keeper.core.errors import InvariantError
from keeper.evm.hashing import keccak256
from keeper.venues.flash_loans import FLASH_LOAN_TOPIC
from keeper.venues.uniswap_v3 import codec
from keeper.venues.uniswap_v3.swap_math import step_exact_in, step_exact_out
from keeper.venues.uniswap_v3.tick_math import (
    MAX_SQRT_RATIO,
    MAX_TICK,
    MIN_SQRT_RATIO,
    MIN_TICK,
    sqrt_ratio_at_tick,
    tick_at_sqrt_ratio,
)

Q96 = 1 << 96
LIQUIDITY = 10**21


@pytest.mark.parametrize(
    ("tick", "price"),
    [
        (MIN_TICK, MIN_SQRT_RATIO),
        (MIN_TICK + 1, 4295343490),
        (0, Q96),
        (MAX_TICK - 1, 1461373636630004318706518188784493106690254656249),
        (MAX_TICK, MAX_SQRT_RATIO),
        (50, 79426470787362580746886972461),
        (-50, 79030349367926598376800521322),
        (250000, 21246587762933397357449903968194344),
        (-500000, 1101692437043807371),
    ],
)
def test_a_tick_has_the_price_of_v3_core_s_own_tests(tick: int, price: int) -> None:
    assert sqrt_ratio_at_tick(tick) == price


@pytest.mark.parametrize("tick", [MIN_TICK, -887271, -60, -1, 0, 1, 59, 200_000, MAX_TICK - 1])
def test_a_price_s_tick_is_the_last_one_not_above_it(tick: int) -> None:
    price = sqrt_ratio_at_tick(tick)
    assert tick_at_sqrt_ratio(price) == tick
    assert tick_at_sqrt_ratio(sqrt_ratio_at_tick(tick + 1) - 1) == tick


@pytest.mark.parametrize("tick", [MIN_TICK - 1, MAX_TICK + 1])
def test_a_tick_beyond_the_ends_is_refused(tick: int) -> None:
    with pytest.raises(InvariantError, match="expected at most 887272"):
        sqrt_ratio_at_tick(tick)


@pytest.mark.parametrize("price", [MIN_SQRT_RATIO - 1, MAX_SQRT_RATIO])
def test_a_price_beyond_the_ends_is_refused(price: int) -> None:
    with pytest.raises(InvariantError, match="expected one of a pool"):
        tick_at_sqrt_ratio(price)


def test_a_step_that_does_not_reach_its_target_takes_the_whole_input() -> None:
    target = sqrt_ratio_at_tick(-1_000)
    after, spent, got = step_exact_in(Q96, target, LIQUIDITY, 10**18, 3_000)
    assert target < after < Q96
    assert spent == 10**18
    assert 0 < got < 10**18 * 997 // 1000


def test_a_step_that_reaches_its_target_stops_there() -> None:
    target = sqrt_ratio_at_tick(10)
    after, spent, _ = step_exact_in(Q96, target, LIQUIDITY, 10**24, 3_000)
    assert after == target
    assert spent < 10**24


def test_a_step_gives_exactly_what_is_left_to_buy() -> None:
    target = sqrt_ratio_at_tick(1_000)
    after, spent, got = step_exact_out(Q96, target, LIQUIDITY, 10**18, 500)
    assert Q96 < after < target
    assert got == 10**18
    assert spent > 10**18


def test_a_range_without_liquidity_is_passed_for_nothing() -> None:
    target = sqrt_ratio_at_tick(-60)
    assert step_exact_in(Q96, target, 0, 10**18, 500) == (target, 0, 0)
    assert step_exact_out(Q96, target, 0, 10**18, 500) == (target, 0, 0)


@pytest.mark.parametrize(
    ("signature", "selector"),
    [
        ("slot0()", codec.Field.SLOT0.value),
        ("liquidity()", codec.Field.LIQUIDITY.value),
        ("tickBitmap(int16)", codec.Field.WORD.value),
        ("ticks(int24)", codec.Field.TICK.value),
        ("getPool(address,address,uint24)", codec.GET_POOL),
        ("tickSpacing()", codec.TICK_SPACING),
    ],
)
def test_selectors_are_those_of_their_signatures(signature: str, selector: bytes) -> None:
    assert keccak256(signature.encode())[:4] == selector


def test_the_flash_loan_topic_is_that_of_its_signature() -> None:
    signature = b"FlashLoan(address,address,address,uint256,uint8,uint256,uint16)"
    assert keccak256(signature).hex() == FLASH_LOAN_TOPIC[2:]
