"""What holds of Morpho's arithmetic whatever the numbers."""

from fractions import Fraction
from math import exp

from hypothesis import assume, given
from hypothesis import strategies as st

from keeper.core.lending import Option
from keeper.core.units import MAX_UINT256, WAD, YEAR
from keeper.protocols.morpho_blue import irm, liquidation, rules
from keeper.protocols.morpho_blue.refusals import MorphoRefusedError
from keeper.protocols.morpho_blue.rules import PreTerms, Totals
from keeper.protocols.morpho_blue.state import MorphoPosition
from tests.support.morpho_market import MARKETS, deployment

amounts = st.integers(1, 10**27)
lltvs = st.integers(10**17, WAD - 10**15)
prices = st.integers(10**20, 10**42)


@st.composite
def totals(draw: st.DrawFn) -> Totals:
    borrowed = draw(amounts)
    supplied = borrowed + draw(st.integers(0, 10**27))
    shares = borrowed * 10**6 * draw(st.integers(20, 100)) // 100
    return Totals(supplied, supplied * 10**6, borrowed, shares)


@given(amounts, totals())
def test_shares_and_assets_bracket_each_other(assets: int, market: Totals):
    owed, issued = market.borrow_assets, market.borrow_shares
    fewest = rules.to_shares_floor(assets, owed, issued)
    most = rules.to_shares_ceil(assets, owed, issued)
    assert fewest <= most <= fewest + 1
    assert rules.to_assets_ceil(fewest, owed, issued) <= assets
    assert rules.to_assets_floor(most, owed, issued) >= assets


@given(totals(), st.integers(0, 10**11), st.integers(0, WAD // 4), st.integers(0, YEAR))
def test_interest_only_adds_and_suppliers_get_what_borrowers_owe(
    market: Totals, rate: int, fee: int, seconds: int
):
    after = rules.accrued(market, rate=rate, fee=fee, seconds=seconds)
    interest = after.borrow_assets - market.borrow_assets
    assert interest >= 0
    assert after.supply_assets - market.supply_assets == interest
    assert after.borrow_shares == market.borrow_shares
    assert after.supply_shares >= market.supply_shares
    if not fee:
        assert after.supply_shares == market.supply_shares


@given(st.integers(0, 6 * 10**10), st.integers(0, 60 * 86_400))
def test_three_terms_stay_below_the_exponential(rate: int, seconds: int):
    growth = rules.taylor_compounded(rate, seconds)
    assert growth >= rate * seconds
    assert growth / WAD <= exp(rate * seconds / WAD) - 1 + 1e-12


@given(st.integers(-41 * WAD, 90 * WAD))
def test_the_exponential_is_near_and_even(x: int):
    assert abs(irm.w_exp(x) / WAD - exp(x / WAD)) <= 0.01 * exp(x / WAD) + 1e-17


@given(totals(), st.integers(0, irm.MAX_RATE_AT_TARGET), st.integers(0, 10 * YEAR))
def test_the_adaptive_rate_keeps_its_bounds(market: Totals, start: int, seconds: int):
    assume(start == 0 or start >= irm.MIN_RATE_AT_TARGET)
    used = min(market.borrow_assets, market.supply_assets)
    found = irm.adaptive_rate(market.supply_assets, used, rate_at_target=start, seconds=seconds)
    assert irm.MIN_RATE_AT_TARGET <= found.rate_at_target <= irm.MAX_RATE_AT_TARGET
    assert irm.MIN_RATE_AT_TARGET // 4 - 1 <= found.borrow_rate <= 4 * irm.MAX_RATE_AT_TARGET


@given(lltvs)
def test_the_incentive_never_takes_more_than_a_healthy_loan_has(lltv: int):
    factor = rules.incentive_factor(lltv)
    assert WAD < factor <= rules.MAX_LIQUIDATION_INCENTIVE_FACTOR
    assert factor * lltv < WAD * WAD


@given(st.integers(1, 10**30), prices, lltvs, st.integers(0, 10**40))
def test_the_health_factor_is_below_one_exactly_when_unhealthy(
    collateral: int, price: int, lltv: int, borrowed: int
):
    limit = rules.max_borrow(collateral, price, lltv)
    below = rules.health_factor(borrowed, limit) < WAD
    assert below == (not rules.is_healthy(borrowed, limit))
    assert rules.health_factor(0, limit) == MAX_UINT256


@given(amounts, prices, lltvs, totals())
def test_every_rounding_is_against_the_liquidator(
    seized: int, price: int, lltv: int, market: Totals
):
    factor = rules.incentive_factor(lltv)
    by_seized = rules.amounts_of_seized(seized, price, factor, market)
    worth = Fraction(seized * price, 10**36)
    assert by_seized.repaid * Fraction(factor, WAD) >= worth
    by_shares = rules.amounts_of_shares(by_seized.repaid_shares, price, factor, market)
    assert Fraction(by_shares.seized * price, 10**36) <= by_shares.repaid * Fraction(factor, WAD)


@given(st.integers(1, 10**24), st.integers(1, 30_000), st.integers(1, 10_000))
def test_no_liquidation_is_proposed_that_would_panic(collateral: int, ltv_bps: int, share_bps: int):
    market = MARKETS[0]
    view = deployment()
    line = view.lines[market.id]
    price = view.prices[market.params.oracle]
    debt = collateral * price // 10**36 * ltv_bps // 10_000
    shares = rules.to_shares_ceil(debt, line.totals.borrow_assets, line.totals.borrow_shares)
    position = MorphoPosition(market=market.id, shares=shares, collateral=collateral)
    for option in liquidation.options(view, position):
        wanted = max(option.max_repay * share_bps // 10_000, 1)
        for repay in (wanted, option.max_repay):
            try:
                quote = liquidation.seize(view, position, option, repay)
            except MorphoRefusedError:
                assert repay != option.max_repay
                continue
            assert quote.repay <= repay
            assert quote.seized <= collateral
            seized, burned = quote.inputs
            assert (seized == 0) != (burned == 0)
            assert burned <= shares


@given(st.integers(80 * 10**16 + 1, 86 * 10**16), st.integers(10**6, 10**24))
def test_early_factors_run_from_their_lows_to_their_highs(ltv: int, value: int):
    terms = PreTerms(80 * 10**16, 10**17, 5 * 10**17, 101 * 10**16, 104 * 10**16)
    borrowed = min(value * ltv // WAD, value * 86 * 10**16 // WAD)
    assume(borrowed > value * terms.pre_lltv // WAD)
    curve = rules.pre_curve(borrowed, value, 86 * 10**16, terms)
    slack = WAD // value + 10
    assert terms.incentive_low <= curve.incentive <= terms.incentive_high + slack
    assert terms.close_factor_low <= curve.close <= terms.close_factor_high + 10 * slack


def test_an_option_of_other_assets_is_refused():
    view = deployment()
    market = MARKETS[0]
    position = MorphoPosition(market=market.id, shares=10**20, collateral=1)
    (option,) = liquidation.options(view, position)
    swapped = Option(collateral=option.debt, debt=option.collateral, max_repay=1)
    try:
        liquidation.seize(view, position, swapped, 1)
    except MorphoRefusedError:
        return
    raise AssertionError
