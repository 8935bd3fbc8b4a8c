"""Figures of Morpho's own contracts, from their compiled sources and their documentation."""

import pytest

from keeper.core.units import WAD
from keeper.protocols.morpho_blue import irm, rules

AT_FIRST = 1_268_391_679


@pytest.mark.parametrize(
    ("lltv_permille", "factor"),
    [
        (385, 1150000000000000000),
        (625, 1126760563380281690),
        (770, 1074113856068743286),
        (860, 1043841336116910229),
        (915, 1026167265264238070),
        (945, 1016776817488561260),
        (965, 1010611419909044972),
        (980, 1006036217303822937),
    ],
)
def test_the_incentive_of_each_lltv_in_use(lltv_permille: int, factor: int):
    assert rules.incentive_factor(lltv_permille * 10**15) == factor


@pytest.mark.parametrize(
    ("borrowed", "expected"),
    [
        (95 * 10**22, (3_282_363_632, 1_358_243_031)),
        (5 * 10**23, (820_441_068, 1_193_519_224)),
    ],
)
def test_the_adaptive_rate_after_a_day(borrowed: int, expected: tuple[int, int]):
    found = irm.adaptive_rate(10**24, borrowed, rate_at_target=AT_FIRST, seconds=86_400)
    assert found == expected


def test_a_day_of_compounding():
    assert rules.taylor_compounded(3_282_363_632, 86_400) == 283_636_435_013_632


def test_the_constants_are_those_of_four_percent_and_its_bounds():
    assert irm.INITIAL_RATE_AT_TARGET == AT_FIRST
    assert irm.MIN_RATE_AT_TARGET == 31_709_791
    assert irm.MAX_RATE_AT_TARGET == 63_419_583_967
    assert irm.ADJUSTMENT_SPEED == 1_585_489_599_188


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (0, WAD),
        (irm.LN_WEI - 1, 0),
        (irm.WEXP_UPPER_BOUND, irm.WEXP_UPPER_VALUE),
        (irm.LN_2, 2 * WAD),
        (-irm.LN_2, WAD // 2),
    ],
)
def test_the_exponential_at_its_corners(x: int, expected: int):
    assert irm.w_exp(x) == expected
