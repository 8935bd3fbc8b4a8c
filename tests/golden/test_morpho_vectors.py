"""Figures of Morpho's own contracts, from their compiled sources and their documentation."""

import pytest

from keeper.core.units import WAD
from keeper.protocols.morpho_blue import irm, rules
from keeper.protocols.morpho_blue.liquidation import case_of, full_close, market_after
from keeper.protocols.morpho_blue.state import MorphoPosition
from tests.support.morpho_market import NOW, deployment, isolated

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


# --- amounts so small that each rounding shows, by hand from ``Morpho.liquidate`` -----------------

FEW = rules.Totals(supply_assets=9, supply_shares=9 * 10**6, borrow_assets=2, borrow_shares=10**6)
PRICE, FACTOR = 15 * 10**35, 11 * WAD // 10


def test_what_is_asked_for_in_collateral_rounds_up_four_times():
    """1 at 1.5 is 2, by 1.1 is 2, of three assets for two million shares, and these are 3."""
    assert rules.amounts_of_seized(1, PRICE, FACTOR, FEW) == (1, 1_333_334, 3)


def test_what_is_offered_in_shares_gives_less_and_takes_more():
    """A share over half of them is worth 1.5 assets: 1 to be seized for, 2 to be paid."""
    assert rules.amounts_of_shares(1_000_001, PRICE, FACTOR, FEW) == (0, 1_000_001, 2)
    assert rules.amounts_of_shares(1_000_001, PRICE // 3, FACTOR, FEW) == (2, 1_000_001, 2)


@pytest.mark.parametrize(("borrowed", "lost"), [(2, 2), (1, 1)])
def test_no_more_is_lost_than_is_owed(borrowed: int, lost: int):
    assert rules.bad_debt(1_000_001, FEW._replace(borrow_assets=borrowed)) == lost
    assert rules.bad_debt(0, FEW) == 0


def test_one_more_may_be_repaid_than_is_owed_and_nothing_is_owed_then():
    """``totalBorrowAssets`` stops at zero (``zeroFloorSub``)."""
    totals = rules.Totals(
        supply_assets=9, supply_shares=10**9, borrow_assets=1, borrow_shares=10**9
    )
    one = isolated(updated=NOW, totals=totals)
    view = deployment((one,), early=(), prices={one.params.oracle: 10**34})
    position = MorphoPosition(market=one.id, shares=10**9, collateral=200)
    quote = full_close(case_of(view, position))
    assert (quote.repay, quote.inputs) == (2, (0, 10**9))
    left = market_after(view, position, quote).markets[one.id].totals
    assert (left.borrow_assets, left.borrow_shares, left.supply_assets) == (0, 0, 9)


def test_early_factors_follow_the_loan_to_value_rounded_up():
    """Two owed of three, a bit over five ninths of the way from a half to four fifths."""
    terms = rules.PreTerms(
        pre_lltv=WAD // 2,
        close_factor_low=WAD // 10,
        close_factor_high=11 * WAD // 10,
        incentive_low=101 * WAD // 100,
        incentive_high=105 * WAD // 100,
    )
    found = rules.pre_curve(2, 3, 8 * WAD // 10, terms)
    assert found == (1_032_222_222_222_222_222, 655_555_555_555_555_556)
