"""Health by release: categories, zero thresholds, roundings, missing prices."""

import pytest

from keeper.core.errors import StaleError
from keeper.core.units import RAY, WAD, Address
from keeper.core.values import replace
from keeper.protocols.aave_v3.health import assess, indices_at, legs
from keeper.protocols.aave_v3.revision import V3_0, V3_2, V3_5, V3_6
from keeper.protocols.aave_v3.rules import compounded_interest_binomial
from keeper.protocols.aave_v3.state import AavePosition, Category, StableDebt
from tests.support.aave_market import NOW, PRICES, RESERVES, USD, USDC, WBTC, WETH, account, market

ONE_WETH = {0: 10**18}
KEY = Address("0x" + "77" * 20)


def with_weth(**changed):
    return (replace(RESERVES[0], **changed), *RESERVES[1:])


def test_one_collateral_and_one_debt():
    health = assess(market(), account(ONE_WETH, {1: 1_600 * 10**6}))
    assert (health.collateral_base, health.debt_base) == (2_000 * USD, 1_600 * USD)
    assert health.health_factor == WAD
    assert not health.liquidatable


def test_one_base_unit_below_the_line_is_liquidatable():
    cheaper = market(prices={**PRICES, WETH: 2_000 * USD - 1})
    assert assess(cheaper, account(ONE_WETH, {1: 1_600 * 10**6})).liquidatable


def test_debt_of_a_fraction_of_a_base_unit_counts_only_since_3_5():
    cheap = {**PRICES, USDC: USD // 1_000}
    speck = account({}, {1: 1})
    assert assess(market(V3_2, prices=cheap), speck).debt_base == 0
    assert assess(market(V3_5, prices=cheap), speck).debt_base == 1


@pytest.mark.parametrize(("rules", "counted"), [(V3_0, False), (V3_5, False), (V3_6, True)])
def test_collateral_of_zero_threshold_counts_since_3_6(rules, counted):
    view = market(rules, with_weth(threshold_bps=0))
    position = account(ONE_WETH, {1: 10**6})
    health = assess(view, position)
    assert health.collateral_base == (2_000 * USD if counted else 0)
    assert health.health_factor == 0
    assert len(legs(view, position).collateral) == (1 if counted else 0)


def test_a_category_gives_its_threshold_to_its_members_only():
    view = market(V3_0, with_weth(emode_category=1), categories={1: Category(threshold_bps=9_000)})
    both = {0: 10**18, 2: 10**7}
    weighted = (2_000 * 9_000 + 3_000 * 8_000) // 5_000
    health = assess(view, account(both, {1: 1_000 * 10**6}, emode=1))
    assert health.health_factor == 5_000 * weighted * WAD // 10_000 // 1_000
    outside = assess(view, account(both, {1: 1_000 * 10**6}))
    assert outside.health_factor == 4 * WAD


def test_a_bitmap_names_the_members_since_3_2():
    categories = {1: Category(threshold_bps=9_000, collateral_bitmap=0b100)}
    view = market(V3_2, with_weth(emode_category=1), categories=categories)
    found = legs(view, account({0: 10**18, 2: 10**7}, {}, emode=1))
    assert [leg.threshold_bps for leg in found.collateral] == [8_000, 9_000]


def test_base_threshold_zero_hides_a_member_up_to_3_5_and_not_after():
    categories = {1: Category(threshold_bps=9_000, collateral_bitmap=0b001)}
    position = account(ONE_WETH, {1: 900 * 10**6}, emode=1)
    hidden = market(V3_5, with_weth(threshold_bps=0), categories=categories)
    assert assess(hidden, position).health_factor == 0
    shown = market(V3_6, with_weth(threshold_bps=0), categories=categories)
    assert assess(shown, position).health_factor == 2 * WAD


def test_an_undefined_category_changes_nothing_since_3_2():
    view = market(V3_2)
    position = account(ONE_WETH, {1: 900 * 10**6})
    assert assess(view, replace(position, emode=42)) == assess(view, position)


def test_a_category_price_replaces_those_of_its_members():
    reserves = (replace(RESERVES[0], emode_category=1), RESERVES[1], RESERVES[2])
    view = market(
        V3_0,
        reserves,
        categories={1: Category(threshold_bps=9_000, price_source=KEY)},
        prices={**PRICES, KEY: 1_500 * USD},
    )
    position = account({0: 10**18, 2: 10**7}, {}, emode=1)
    assert assess(view, position).collateral_base == 4_500 * USD
    assert assess(view, replace(position, emode=0)).collateral_base == 5_000 * USD


def test_an_unknown_category_price_blocks_the_whole_account():
    categories = {1: Category(threshold_bps=9_000, price_source=KEY)}
    view = market(V3_0, categories=categories)
    with pytest.raises(StaleError, match="expected one, found none"):
        assess(view, account(ONE_WETH, {}, emode=1))


def test_a_missing_price_is_not_a_zero():
    view = market(prices={USDC: USD, WBTC: USD})
    with pytest.raises(StaleError, match="price of reserve 0"):
        assess(view, account(ONE_WETH, {1: 1}))
    with pytest.raises(StaleError, match="price of reserve 0"):
        legs(view, account(ONE_WETH, {1: 1}))


def test_a_dropped_reserve_is_skipped():
    view = market(V3_0, (None, *RESERVES[1:]))
    health = assess(view, account({0: 10**18, 2: 10**8}, {0: 5, 1: 10**6}))
    assert (health.collateral_base, health.debt_base) == (30_000 * USD, USD)


def test_indices_of_the_stored_moment_are_the_stored_ones():
    reserve = replace(RESERVES[0], liquidity_index=RAY + 7, variable_index=RAY + 9)
    assert indices_at(V3_0, reserve, NOW) == (RAY + 7, RAY + 9)


def test_stable_debt_is_added_before_it_is_valued():
    stable = StableDebt(reserve=1, principal=10**6 + 1, rate=10**26, updated=NOW - 86_400)
    position = replace(account(ONE_WETH, {1: 10**6 + 1}), stable=(stable,))
    cents = market(prices={**PRICES, USDC: 150})
    grown = ((10**6 + 1) * compounded_interest_binomial(10**26, 86_400) + RAY // 2) // RAY
    assert assess(cents, position).debt_base == (10**6 + 1 + grown) * 150 // 10**6


def test_an_account_of_nothing_is_healthy():
    assert not assess(market(), AavePosition()).liquidatable
