"""Every rounding stays within its bracket, as the exact fraction says."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.core import fixed_point
from keeper.core.errors import InvariantError
from keeper.core.units import BPS, MAX_UINT256, RAY, WAD

AMOUNT = st.integers(min_value=0, max_value=2**200)
DIVISOR = st.integers(min_value=1, max_value=2**200)
SIGNED = st.integers(min_value=-(2**128), max_value=2**128)
HALF = Fraction(1, 2)


def is_half_up(found: int, exact: Fraction) -> bool:
    return Fraction(found) - HALF <= exact < Fraction(found) + HALF


@given(AMOUNT, AMOUNT, DIVISOR)
def test_floor_and_ceil_bracket_the_quotient_and_meet_when_it_is_whole(a, b, c):
    exact = Fraction(a * b, c)
    low, high = fixed_point.mul_div_floor(a, b, c), fixed_point.mul_div_ceil(a, b, c)
    assert low <= exact <= high
    assert high - low == (0 if exact.denominator == 1 else 1)


@given(SIGNED, SIGNED.filter(bool))
def test_truncation_is_toward_zero(a, b):
    found = fixed_point.div_trunc(a, b)
    exact = Fraction(a, b)
    assert abs(found) <= abs(exact) < abs(found) + 1
    assert found * exact >= 0


@given(AMOUNT, AMOUNT)
def test_ray_multiplication_rounds_half_up(a, b):
    assert is_half_up(fixed_point.ray_mul_half_up(a, b), Fraction(a * b, RAY))


@given(AMOUNT, AMOUNT)
def test_percentages_round_half_up(value, bps):
    assert is_half_up(fixed_point.percent_mul_half_up(value, bps), Fraction(value * bps, BPS))


@pytest.mark.parametrize(
    ("divide", "scale"),
    [
        (fixed_point.ray_div_half_up, RAY),
        (fixed_point.wad_div_half_up, WAD),
        (fixed_point.percent_div_half_up, BPS),
    ],
)
@given(AMOUNT, DIVISOR)
def test_division_adds_the_floored_half_of_its_divisor(divide, scale, a, b):
    """As the contracts do: for an odd divisor the half itself is rounded down."""
    exact = Fraction(a * scale, b) + Fraction(b // 2, b)
    found = divide(a, b)
    assert found <= exact < found + 1
    assert abs(Fraction(found) - Fraction(a * scale, b)) <= HALF


def test_a_half_rounds_up_and_a_hair_less_rounds_down():
    assert fixed_point.ray_mul_half_up(1, RAY // 2) == 1
    assert fixed_point.ray_mul_half_up(1, RAY // 2 - 1) == 0
    assert fixed_point.percent_mul_half_up(1, 5_000) == 1
    assert fixed_point.percent_mul_half_up(1, 4_999) == 0
    assert fixed_point.wad_div_half_up(1, 2 * WAD) == 1
    assert fixed_point.wad_div_half_up(1, 2 * WAD + 1) == 0


@given(st.integers())
def test_only_what_the_evm_could_hold_passes(value):
    if 0 <= value <= MAX_UINT256:
        assert fixed_point.require_uint256(value, "debt") == value
    else:
        with pytest.raises(InvariantError, match=r"debt: expected a uint256, found "):
            fixed_point.require_uint256(value, "debt")


@pytest.mark.parametrize("value", [-1, MAX_UINT256 + 1])
def test_the_first_values_beyond_the_evm_are_refused(value):
    with pytest.raises(InvariantError):
        fixed_point.require_uint256(value, "debt")
