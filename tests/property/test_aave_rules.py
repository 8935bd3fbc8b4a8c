"""What holds of Aave's arithmetic for every input."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.core.units import BPS, RAY, WAD
from keeper.protocols.aave_v3 import rules
from keeper.protocols.aave_v3.health import assess
from keeper.protocols.aave_v3.revision import RULES, V3_0, V3_4, V3_5, V3_7, Rules
from keeper.protocols.aave_v3.seizing import Pair, available_collateral, clipped_fee
from tests.support.aave_market import PRICES, USDC, WBTC, WETH, account, market

RELEASES = list({one.release: one for one in RULES.values()}.values())
each_release = pytest.mark.parametrize("release", RELEASES, ids=[one.release for one in RELEASES])

scaled = st.integers(0, 2**100)
indices = st.integers(RAY, 20 * RAY)
rates = st.integers(0, 3 * RAY)
seconds = st.integers(0, 3 * 31_536_000)
prices = st.integers(1, 10**13)
units = st.sampled_from([10**2, 10**6, 10**8, 10**18])


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    return Pair(
        collateral_price=draw(prices),
        collateral_unit=draw(units),
        debt_price=draw(prices),
        debt_unit=draw(units),
        bonus_bps=draw(st.integers(BPS, 12_500)),
        fee_bps=draw(st.integers(0, BPS)),
        balance=draw(st.integers(0, 10**28)),
    )


@given(rate=rates, wait=seconds)
def test_interest_never_shrinks_and_compounding_never_earns_less_than_linear(rate, wait):
    linear = rules.linear_interest(rate, wait)
    assert linear >= RAY
    assert linear <= rules.compounded_interest_binomial(rate, wait)
    assert linear <= rules.compounded_interest_taylor(rate, wait)


@given(rate=st.integers(0, RAY), wait=st.integers(0, 31_536_000))
def test_the_two_compoundings_agree_within_a_thousandth(rate, wait):
    old = rules.compounded_interest_binomial(rate, wait)
    new = rules.compounded_interest_taylor(rate, wait)
    assert abs(new - old) * 1_000 <= old


@given(rate=rates, wait=seconds, more=seconds)
def test_interest_grows_with_time(rate, wait, more):
    for interest in (rules.compounded_interest_binomial, rules.compounded_interest_taylor):
        assert interest(rate, wait) <= interest(rate, wait + more)


@given(balance=scaled, index=indices)
def test_balances_are_within_one_of_exact_and_on_the_protocols_side(balance, index):
    exact = Fraction(balance * index, RAY)
    assert abs(V3_0.collateral_balance(balance, index) - exact) <= Fraction(1, 2)
    assert exact - 1 < V3_5.collateral_balance(balance, index) <= exact
    assert exact <= V3_5.debt_balance(balance, index) < exact + 1


@each_release
@given(balance=scaled, index=indices)
def test_burning_the_whole_balance_burns_exactly_what_is_scaled(release: Rules, balance, index):
    collateral = release.collateral_balance(balance, index)
    debt = release.debt_balance(balance, index)
    assert release.scaled_burn_collateral(collateral, index) == balance
    assert release.scaled_burn_debt(debt, index) == balance


@given(
    collateral=st.integers(1, 10**18),
    threshold=st.integers(0, BPS),
    debt=st.integers(1, 10**18),
)
def test_health_of_one_collateral_is_the_same_formula_before_and_after(collateral, threshold, debt):
    weighted = collateral * threshold
    exact = Fraction(weighted * WAD, BPS * debt)
    old = rules.health_factor_average(collateral, weighted, debt)
    new = rules.health_factor_weighted(collateral, weighted, debt)
    assert exact - 1 < new <= exact + 1
    assert abs(old - exact) <= Fraction(WAD, debt)


@each_release
@given(pair=pairs(), repay=st.integers(0, 10**28))
def test_no_more_is_seized_than_is_there(release: Rules, pair: Pair, repay):
    found = available_collateral(release, pair, repay)
    assert 0 <= found.fee <= found.gross <= pair.balance
    assert found.net >= 0


@each_release
@given(pair=pairs(), repay=st.integers(0, 10**27), more=st.integers(0, 10**27))
def test_more_repaid_never_seizes_less(release: Rules, pair: Pair, repay, more):
    less, greater = (available_collateral(release, pair, one) for one in (repay, repay + more))
    assert less.gross <= greater.gross
    assert less.net <= greater.net + 1


@each_release
@given(pair=pairs(), repay=st.integers(0, 10**28))
def test_the_pool_takes_at_most_one_unit_beyond_the_offer(release: Rules, pair: Pair, repay):
    assert available_collateral(release, pair, repay).repay <= repay + 1


@given(pair=pairs(), repay=st.integers(0, 10**28))
def test_3_7_gives_the_liquidator_no_more_than_3_4_did(pair: Pair, repay):
    old, new = (available_collateral(one, pair, repay) for one in (V3_4, V3_7))
    assert new.gross <= old.gross
    assert new.gross >= old.gross - 1


@each_release
@given(pair=pairs(), repay=st.integers(1, 10**27), balance=scaled, index=indices)
def test_a_clipped_fee_is_never_more_than_the_fee(release: Rules, pair, repay, balance, index):
    held = Pair(
        collateral_price=pair.collateral_price,
        collateral_unit=pair.collateral_unit,
        debt_price=pair.debt_price,
        debt_unit=pair.debt_unit,
        bonus_bps=pair.bonus_bps,
        fee_bps=pair.fee_bps,
        balance=release.collateral_balance(balance, index),
    )
    found = available_collateral(release, held, repay)
    fee = clipped_fee(release, found, balance, index)
    assert 0 <= fee <= found.fee
    assert found.fee - fee <= 20


@each_release
@given(
    collateral=st.dictionaries(st.integers(0, 2), st.integers(0, 10**24), max_size=3),
    debt=st.dictionaries(st.integers(0, 2), st.integers(1, 10**20), min_size=1, max_size=3),
    moved=st.sampled_from([WETH, USDC, WBTC]),
    bps=st.integers(5_000, 20_000),
)
def test_health_moves_with_prices_as_it_should(release: Rules, collateral, debt, moved, bps):
    number = {WETH: 0, USDC: 1, WBTC: 2}[moved]
    position = account(collateral, debt)
    before = assess(market(release), position)
    dearer = {**PRICES, moved: PRICES[moved] * max(bps, BPS) // BPS}
    after = assess(market(release, prices=dearer), position)
    assert after.collateral_base >= before.collateral_base
    assert after.debt_base >= before.debt_base
    if number not in debt and set(collateral) <= {number}:
        assert after.health_factor >= before.health_factor
    if number not in collateral:
        assert after.health_factor <= before.health_factor
