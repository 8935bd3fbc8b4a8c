"""The arithmetic of Aave V3 against figures that the compiled contracts gave."""

import pytest

from keeper.core.units import MAX_UINT256, RAY, WAD
from keeper.protocols.aave_v3 import rules
from keeper.protocols.aave_v3.revision import (
    RULES,
    V3_0,
    V3_3,
    V3_4,
    V3_5,
    V3_6,
    V3_7,
    Rules,
)
from keeper.protocols.aave_v3.seizing import (
    Pair,
    Seizure,
    available_collateral,
    clipped_fee,
    leaves_dust,
)

USD = 10**8


def pair(**changed: int) -> Pair:
    figures = {
        "collateral_price": 250123456789,
        "collateral_unit": 10**18,
        "debt_price": 99987654,
        "debt_unit": 10**6,
        "bonus_bps": 10500,
        "fee_bps": 1000,
        "balance": 10**18,
    }
    return Pair(**figures | changed)


@pytest.mark.parametrize(
    ("rate", "seconds", "linear", "binomial", "taylor"),
    [
        (
            5 * 10**25,
            10**6,
            1001585489599188229325215626,
            1001586746986564340691715626,
            1001586747152084082165891817,
        ),
        (
            35 * 10**24,
            12,
            None,
            1000000013318112714476683377,
            1000000013318112721867188780,
        ),
        (
            873 * 10**24,
            31536000,
            None,
            2364954158574713293206616000,
            2364954269500000000000000000,
        ),
    ],
)
def test_interest_is_that_of_the_compiled_math_utils(rate, seconds, linear, binomial, taylor):
    if linear is not None:
        assert rules.linear_interest(rate, seconds) == linear
    assert rules.compounded_interest_binomial(rate, seconds) == binomial
    assert rules.compounded_interest_taylor(rate, seconds) == taylor


@pytest.mark.parametrize(
    "compounded", [rules.compounded_interest_binomial, rules.compounded_interest_taylor]
)
def test_no_time_earns_no_interest(compounded):
    assert compounded(5 * 10**25, 0) == RAY


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        (V3_0, (515730985016146442, 1234567891, 2467612368498308)),
        (V3_4, (515730985016146442, 1234567891, 2467612368498308)),
        (V3_6, (515730985016146442, 1234567891, 2467612368498308)),
        (V3_7, (515730985016146441, 1234567891, 2467612368498309)),
    ],
)
def test_seized_amounts_with_enough_collateral(release: Rules, expected):
    found = available_collateral(release, pair(), 1234567891)
    assert (found.net, found.repay, found.fee) == expected


@pytest.mark.parametrize(
    ("release", "repaid"), [(V3_0, 952968917), (V3_4, 952968917), (V3_5, 952968918)]
)
def test_seized_amounts_when_the_collateral_is_short(release: Rules, repaid):
    found = available_collateral(release, pair(balance=4 * 10**17), 1234567891)
    assert (found.net, found.repay, found.fee) == (398095238095238095, repaid, 1904761904761905)
    assert found.gross == 4 * 10**17


def test_without_a_protocol_fee_the_liquidator_gets_all():
    found = available_collateral(V3_0, pair(fee_bps=0), 10**6)
    assert found.fee == 0
    assert found.gross == found.net


def test_a_fee_beyond_the_remaining_balance_is_clipped_to_it():
    index = RAY + RAY // 3
    seizure = Seizure(net=40, repay=1, fee=10)
    scaled = 36  # 40 / 1.333 is 30 scaled, six are left: eight aTokens.
    assert clipped_fee(V3_0, seizure, scaled, index) == 8


def test_a_fee_within_the_remaining_balance_is_paid_in_full():
    assert clipped_fee(V3_0, Seizure(net=40, repay=1, fee=10), 50, RAY) == 10


def test_average_threshold_is_floored_before_3_5():
    # 3 USD at 8000 bps and 1 USD at 7001 bps average to 7750.25, taken as 7750.
    weighted = 3 * USD * 8000 + USD * 7001
    assert rules.health_factor_average(4 * USD, weighted, 2 * USD) == 155 * WAD // 100
    assert rules.health_factor_weighted(4 * USD, weighted, 2 * USD) == 1550050000000000000


@pytest.mark.parametrize("release", [V3_0, V3_5])
def test_without_debt_health_is_unlimited(release: Rules):
    assert release.health_factor(USD, USD * 8000, 0) == MAX_UINT256


@pytest.mark.parametrize("release", [V3_0, V3_5])
def test_debt_without_collateral_has_no_health(release: Rules):
    assert release.health_factor(0, 0, USD) == 0


@pytest.mark.parametrize(
    ("health_factor", "most"),
    [(95 * WAD // 100, 1001), (95 * WAD // 100 + 1, 501), (WAD - 1, 501), (0, 1001)],
)
def test_old_close_factor_halves_one_debt_above_095(health_factor, most):
    assert rules.max_repay_of_reserve(1001, health_factor) == most


@pytest.mark.parametrize(
    ("collateral", "debt", "health_factor", "reduced"),
    [
        (2000 * USD, 2000 * USD, 95 * WAD // 100 + 1, True),
        (2000 * USD, 2000 * USD, 95 * WAD // 100, False),
        (2000 * USD - 1, 2000 * USD, WAD - 1, False),
        (2000 * USD, 2000 * USD - 1, WAD - 1, False),
    ],
)
def test_new_close_factor_needs_two_large_legs_and_health_above_095(
    collateral, debt, health_factor, reduced
):
    assert rules.is_close_factor_reduced(collateral, debt, health_factor) is reduced


def dollars(balance: int, **changed: int) -> Pair:
    even = {"collateral_price": USD, "debt_price": USD, "collateral_unit": 1, "debt_unit": 1}
    return pair(balance=balance, **even | changed)


@pytest.mark.parametrize(
    ("debt", "seizure", "dust"),
    [
        (3000, Seizure(net=2100, repay=2000, fee=0), False),
        (3000, Seizure(net=2101, repay=2001, fee=0), True),
        (3000, Seizure(net=2100, repay=3000, fee=0), False),
        (3000, Seizure(net=4000, repay=2500, fee=100), False),
        (9000, Seizure(net=3000, repay=2900, fee=101), True),
    ],
)
def test_dust_is_less_than_a_thousand_left_on_either_side(debt, seizure, dust):
    assert leaves_dust(V3_3, dollars(4100), debt, seizure) is dust


def test_debt_left_rounds_up_since_3_5():
    cents = dollars(10**9, debt_unit=3)
    left = Seizure(net=10, repay=1, fee=0)
    # 2999 thirds of a dollar are 999.67: dust by the floor, and by the ceiling of base units too.
    assert leaves_dust(V3_4, cents, 3000, left)
    assert leaves_dust(V3_5, cents, 3000, left)
    assert V3_5.debt_value(2999, USD, 3) == V3_4.debt_value(2999, USD, 3) + 1


@pytest.mark.parametrize(
    ("revision", "release"),
    [
        (1, "3.0"),
        (2, "3.0"),
        (3, "3.0"),
        (4, "3.1"),
        (5, "3.2"),
        (6, "3.2"),
        (7, "3.3"),
        (8, "3.4"),
        (9, "3.5"),
        (10, "3.6"),
        (11, "3.7"),
    ],
)
def test_each_revision_follows_its_release(revision, release):
    assert RULES[revision].release == release


@pytest.mark.parametrize(
    ("feature", "since"),
    [
        ("grace_period", "3.1"),
        ("virtual_balance", "3.1"),
        ("sequencer_status_since_start", "3.1"),
        ("emode_bitmaps", "3.2"),
        ("whole_position_rule", "3.3"),
        ("custom_errors", "3.4"),
        ("directed", "3.5"),
        ("zero_threshold_counts", "3.6"),
        ("deficit_by_scaled", "3.7"),
    ],
)
def test_features_appear_in_their_release_and_stay(feature, since):
    for rule in RULES.values():
        assert getattr(rule, feature) is (rule.release >= since)


def test_sentinels_end_with_3_7():
    assert {one.release for one in RULES.values() if not one.sentinel} == {"3.7"}


def test_stable_debt_ends_with_3_2():
    assert {one.release for one in RULES.values() if one.stable_debt} == {"3.0", "3.1"}
