"""The arithmetic of the Compound V2 family, by hand."""

from hypothesis import given
from hypothesis import strategies as st

from keeper.core.units import WAD
from keeper.protocols.compound_v2 import rules
from keeper.protocols.compound_v2.rules import Stored

MANTISSA = st.integers(1, 10**30)
AMOUNT = st.integers(0, 10**30)


def test_interest_is_simple_within_one_accrual():
    before = Stored(cash=10**20, borrows=10**20, reserves=10**18, index=WAD, supply=10**20)
    after = rules.accrued(before, rate=10**12, periods=1_000, reserve_factor=WAD // 10)
    assert after.borrows == 10**20 + 10**17
    assert after.reserves == 10**18 + 10**16
    assert after.index == WAD + 10**15
    assert (after.cash, after.supply) == (before.cash, before.supply)


def test_accruing_twice_is_not_accruing_once():
    before = Stored(cash=0, borrows=10**20, reserves=0, index=WAD, supply=10**20)
    once = rules.accrued(before, rate=10**12, periods=2_000, reserve_factor=0)
    half = rules.accrued(before, rate=10**12, periods=1_000, reserve_factor=0)
    twice = rules.accrued(half, rate=10**12, periods=1_000, reserve_factor=0)
    assert twice.borrows > once.borrows
    assert twice.index > once.index


def test_an_empty_market_has_its_first_exchange_rate():
    empty = Stored(cash=5, borrows=0, reserves=0, index=WAD, supply=0)
    assert rules.exchange_rate(empty, 2 * WAD) == 2 * WAD


def test_no_principal_is_no_debt_whatever_the_index():
    assert rules.borrow_balance(0, 0, WAD) == 0


def test_mul_exp_rounds_as_its_name_says():
    assert rules.mul_exp_truncated(WAD // 2, 3) == 1
    assert rules.mul_exp_half_up(WAD // 2, 3) == 2


def test_the_treasury_cuts_the_bonus_alone():
    cut = rules.treasury_cut(1_100, incentive=11 * WAD // 10, percent=WAD // 2)
    assert cut == 50


@given(ratio=MANTISSA, tokens=AMOUNT)
def test_the_most_repaid_is_the_last_that_seizes_no_more(ratio: int, tokens: int):
    most = rules.most_repaid_for(ratio, tokens)
    assert most is not None
    assert rules.seized_tokens(ratio, most) <= tokens < rules.seized_tokens(ratio, most + 1)


@given(tokens=AMOUNT, rate=MANTISSA, factor=st.integers(0, WAD), price=MANTISSA)
def test_truncating_never_gives_collateral_more_weight(tokens, rate, factor, price):
    value = rules.collateral_value(tokens, factor=factor, rate=rate, price=price)
    assert value * WAD**3 <= tokens * rate * factor * price


@given(
    principal=AMOUNT, since=MANTISSA, growth=st.integers(0, 10**20), later=st.integers(0, 10**20)
)
def test_a_balance_extrapolated_from_a_balance_is_at_most_rounding_short(
    principal, since, growth, later
):
    """What stands in for a principal that cannot be read is never too much."""
    index = since + growth
    balance = rules.borrow_balance(principal, since, index)
    exact = rules.borrow_balance(principal, since, index + later)
    assumed = rules.borrow_balance(balance, index, index + later)
    assert assumed <= exact <= assumed + (index + later) // index + 1
