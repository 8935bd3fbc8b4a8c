"""Options, quotes and refusals by release."""

import pytest

from keeper.core.errors import RefusedError
from keeper.core.lending import Option
from keeper.core.units import MAX_UINT256, RAY, Address
from keeper.core.values import replace
from keeper.protocols.aave_v3 import liquidation
from keeper.protocols.aave_v3.adapter import AaveAdapter
from keeper.protocols.aave_v3.health import assess
from keeper.protocols.aave_v3.liquidation import options, seize
from keeper.protocols.aave_v3.parameters import Parameters
from keeper.protocols.aave_v3.refusals import PoolRefusedError, Refusal, revert_data
from keeper.protocols.aave_v3.revision import V3_0, V3_2, V3_3, V3_4, V3_5, V3_6, V3_7
from keeper.protocols.aave_v3.state import Category, Sentinel
from tests.support.aave_market import (
    ALICE,
    NOW,
    PAIR,
    POOL,
    PRICES,
    PROVIDER,
    RESERVES,
    SICK,
    USD,
    USDC,
    WBTC,
    WETH,
    account,
    changed,
    dollars,
    market,
    ref,
)

ALL_RULES = (V3_0, V3_2, V3_3, V3_4, V3_5, V3_6, V3_7)


@pytest.mark.parametrize("rules", ALL_RULES)
def test_half_of_a_single_large_debt_may_be_repaid_above_095(rules):
    (option,) = options(market(rules), SICK)
    assert option == Option(collateral=WETH, debt=USDC, max_repay=dollars(8_100))


@pytest.mark.parametrize("rules", ALL_RULES)
def test_all_of_it_below_095(rules):
    cheaper = market(rules, prices={**PRICES, WETH: 1_900 * USD})
    (option,) = options(cheaper, SICK)
    assert option.max_repay == dollars(16_200)


@pytest.mark.parametrize(("rules", "most"), [(V3_2, 450), (V3_3, 900), (V3_7, 900)])
def test_a_small_position_may_be_closed_since_3_3(rules, most):
    small = account({0: 6 * 10**17}, {1: dollars(1_200) * 3 // 4})
    (option,) = options(market(rules, prices={**PRICES, WETH: 1_860 * USD}), small)
    assert option.max_repay == dollars(most)


def test_one_of_two_equal_debts_may_be_closed_since_3_3():
    reserves = (*RESERVES, replace(RESERVES[1], id=3, asset=ALICE, symbol="DAI"))
    two = account({0: 10 * 10**18}, {1: dollars(8_100), 3: dollars(8_100)})
    prices = {**PRICES, ALICE: USD}
    old = options(market(V3_2, reserves, prices=prices), two)
    new = options(market(V3_3, reserves, prices=prices), two)
    assert [one.max_repay for one in old] == [dollars(4_050)] * 2
    assert [one.max_repay for one in new] == [dollars(8_100)] * 2


@pytest.mark.parametrize("rules", [V3_3, V3_5, V3_7])
def test_the_maximum_never_leaves_dust(rules):
    # Half of 3,100 is allowed, but then less than 1,000 dollars of this collateral would stay.
    split = account({0: 12 * 10**17, 2: 5 * 10**6}, {1: dollars(3_150)})
    view = market(rules)
    (weth, wbtc) = options(view, split)
    left = 2_400 * USD - seize(view, split, weth, weth.max_repay).seized * 2_000 * USD // 10**18
    assert left >= 1_000 * USD
    with pytest.raises(RefusedError, match="MustNotLeaveDust"):
        seize(view, split, weth, weth.max_repay + 1)
    assert wbtc.max_repay > 0


@pytest.mark.parametrize(
    ("rules", "reserves", "word"),
    [
        (V3_0, changed(0, is_active=False), "ReserveInactive"),
        (V3_0, changed(1, is_active=False), "ReserveInactive"),
        (V3_0, changed(0, is_paused=True), "ReservePaused"),
        (V3_0, changed(1, is_paused=True), "ReservePaused"),
        (V3_2, changed(0, grace_until=NOW), "LiquidationGraceSentinelCheckFailed"),
        (V3_2, changed(1, grace_until=NOW), "LiquidationGraceSentinelCheckFailed"),
        (V3_5, changed(0, cash=0), "Panic(0x11)"),
    ],
)
def test_a_reserve_that_may_not_be_touched_gives_no_option(rules, reserves, word):
    view = market(rules, reserves)
    assert options(view, SICK) == ()
    with pytest.raises(RefusedError) as caught:
        seize(view, SICK, PAIR, dollars(100))
    assert str(caught.value).startswith(word)


@pytest.mark.parametrize("rules", [V3_0, V3_5])
def test_a_reserve_short_of_cash_gives_what_it_has(rules):
    view = market(rules, changed(0, cash=10**18, held=10**18))
    (option,) = options(view, SICK)
    quote = seize(view, SICK, option, option.max_repay)
    assert 0 <= 10**18 - quote.received < 10**12
    with pytest.raises(RefusedError, match="0x11"):
        seize(view, SICK, option, option.max_repay + 1)


def test_grace_ends_after_its_last_second():
    view = market(V3_2, changed(0, grace_until=NOW - 1))
    assert options(view, SICK)


def test_the_sentinel_holds_only_what_is_above_095():
    closed = Sentinel(
        address=POOL, feed=POOL, aggregator=POOL, grace_s=3_600, is_up=True, since=NOW - 3_600
    )
    with pytest.raises(RefusedError, match="PriceOracleSentinelCheckFailed"):
        seize(market(sentinel=closed), SICK, PAIR, dollars(100))
    deep = market(sentinel=closed, prices={**PRICES, WETH: 1_900 * USD})
    assert seize(deep, SICK, PAIR, dollars(100)).repay == dollars(100)
    assert options(market(sentinel=replace(closed, since=NOW - 3_601)), SICK)


@pytest.mark.parametrize("held", [True, False])
def test_at_095_the_sentinel_is_asked_and_all_may_be_repaid(held):
    """The sentinel's line counts as above, the close factor's as below."""
    closed = Sentinel(
        address=POOL, feed=POOL, aggregator=POOL, grace_s=3_600, is_up=False, since=NOW
    )
    at_the_line = account({0: 19 * 10**17}, {1: dollars(3_200)})
    view = market(V3_0, sentinel=closed if held else None)
    assert assess(view, at_the_line).health_factor == 95 * 10**16
    if held:
        with pytest.raises(RefusedError, match="PriceOracleSentinelCheckFailed"):
            seize(view, at_the_line, PAIR, dollars(100))
        return
    (option,) = options(view, at_the_line)
    assert option.max_repay > dollars(1_600)


@pytest.mark.parametrize("rules", [V3_0, V3_5])
def test_collateral_of_threshold_zero_is_refused_until_3_6(rules):
    bare = changed(0, threshold_bps=0)
    owing = account({0: 2 * 10**18, 2: 10**7}, {1: dollars(3_000)})
    assert seize(market(V3_6, bare), owing, PAIR, dollars(1_000)).repay == dollars(1_000)
    with pytest.raises(RefusedError, match="CollateralCannotBeLiquidated"):
        seize(market(rules, bare), owing, PAIR, dollars(1_000))


def test_a_categorys_price_is_the_debts_too_member_or_not():
    """``LiquidationLogic._getConfigurationData`` up to 3.1 asks it of the collateral alone."""
    key = Address("0x" + "77" * 20)
    categories = {1: Category(threshold_bps=9_000, bonus_bps=10_100, price_source=key)}
    prices = {**PRICES, key: 1_500 * USD}
    view = market(V3_0, changed(0, emode_category=1), categories=categories, prices=prices)
    owing = account({0: 10 * 10**18, 2: 10**7}, {1: dollars(16_000)}, emode=1)
    inside = seize(view, owing, PAIR, dollars(1))
    assert inside.seized == 101 * 10**16
    outside = seize(view, owing, Option(collateral=WBTC, debt=USDC, max_repay=0), dollars(1))
    assert outside.seized == 10**8 * 1_500 * 105 // 100 // 30_000


def test_a_collateral_that_is_not_flagged_is_refused():
    option = Option(collateral=WBTC, debt=USDC, max_repay=0)
    with pytest.raises(RefusedError, match="CollateralCannotBeLiquidated"):
        seize(market(), SICK, option, 1)


def test_a_debt_that_is_not_owed_is_refused():
    option = Option(collateral=WETH, debt=WBTC, max_repay=0)
    with pytest.raises(RefusedError, match="SpecifiedCurrencyNotBorrowedByUser"):
        seize(market(), SICK, option, 1)


def test_an_unlisted_asset_is_refused():
    option = Option(collateral=ALICE, debt=USDC, max_repay=0)
    with pytest.raises(RefusedError, match="not listed"):
        seize(market(), SICK, option, 1)


def test_nothing_is_gained_from_a_price_of_zero():
    view = market(prices={**PRICES, WETH: 0})
    with pytest.raises(RefusedError, match="0x12"):
        seize(view, SICK, PAIR, dollars(1))
    assert options(view, SICK) == ()


def test_a_bonus_of_zero_seizes_nothing_since_3_6():
    view = market(V3_6, changed(0, threshold_bps=0, bonus_bps=0))
    assert options(view, SICK) == ()


def test_the_categorys_bonus_applies_to_its_members():
    category = Category(threshold_bps=8_000, bonus_bps=10_100, collateral_bitmap=0b001)
    view = market(V3_6, categories={1: category})
    inside = seize(view, replace(SICK, emode=1), PAIR, dollars(2_000))
    outside = seize(view, SICK, PAIR, dollars(2_000))
    assert inside.seized == 101 * 10**16
    assert outside.seized == 105 * 10**16


@pytest.mark.parametrize(("rules", "allowed"), [(V3_3, True), (V3_4, False)])
def test_nobody_liquidates_himself_since_3_4(rules, allowed):
    view = market(rules)
    (option,) = options(view, SICK)
    quote = seize(view, SICK, option, option.max_repay)
    adapter = AaveAdapter(
        deployment="aave_v3.test",
        start_block=0,
        parameters=Parameters(addresses_provider=PROVIDER),
    )
    if allowed:
        assert adapter.calls(view, ref(), option, quote, ALICE)
        return
    with pytest.raises(RefusedError, match="SelfLiquidation"):
        adapter.calls(view, ref(), option, quote, ALICE)


def test_a_burn_that_rounds_to_nothing_is_refused():
    doubled = changed(1, variable_index=3 * RAY)
    owing = account({0: 10 * 10**18}, {1: 16_200 * 10**6 // 3})
    with pytest.raises(RefusedError, match="InvalidBurnAmount"):
        seize(market(V3_0, doubled), owing, PAIR, 1)
    with pytest.raises(RefusedError, match="InvalidBurnAmount"):
        seize(market(V3_0), SICK, PAIR, 0)


def test_every_pair_of_an_account_is_an_option():
    many = account({0: 10**18, 2: 10**7}, {0: 1, 1: dollars(4_500)})
    view = market(V3_0)
    found = {(one.collateral, one.debt) for one in options(view, many)}
    assert (WETH, USDC) in found
    assert (WBTC, USDC) in found


def test_the_same_asset_may_be_collateral_and_debt():
    looped = account({0: 10**18}, {0: 85 * 10**16})
    (option,) = liquidation.options(market(V3_0), looped)
    assert (option.collateral, option.debt) == (WETH, WETH)
    assert seize(market(V3_0), looped, option, 10**17).seized == 105 * 10**15


def test_collateral_without_a_bonus_cannot_be_seized_where_a_fee_is_due():
    bare = changed(0, threshold_bps=0, bonus_bps=0)
    owing = account({0: 10**18, 2: 10**8}, {1: dollars(30_000)})
    with pytest.raises(PoolRefusedError) as refusal:
        seize(market(V3_6, bare), owing, PAIR, dollars(100))
    assert refusal.value.refusal is Refusal.NO_BONUS
    assert revert_data(Refusal.NO_BONUS, custom_errors=True) == b""
    without_fee = tuple(replace(one, protocol_fee_bps=0) for one in bare)
    with pytest.raises(PoolRefusedError) as refusal:
        seize(market(V3_6, without_fee), owing, PAIR, dollars(100))
    assert refusal.value.refusal is Refusal.BURN_OF_NOTHING


def test_a_debt_without_a_price_buys_nothing():
    view = market(V3_6, prices={**PRICES, USDC: 0})
    owing = account({0: 10**18}, {1: dollars(5_000), 2: 10**8})
    with pytest.raises(PoolRefusedError) as refusal:
        seize(view, owing, PAIR, MAX_UINT256)
    assert refusal.value.refusal is Refusal.BURN_OF_NOTHING


@pytest.mark.parametrize(
    ("rules", "cash", "held", "expected"),
    [
        (V3_0, 0, 0, Refusal.ILLIQUID),
        (V3_6, 0, 0, Refusal.ILLIQUID),
        (V3_6, dollars(60), 0, Refusal.UNPAID),
        (V3_6, dollars(60), dollars(1_050), None),
    ],
)
def test_of_one_asset_a_repayment_is_booked_before_it_is_paid(rules, cash, held, expected):
    view = market(rules, changed(1, cash=cash, held=held))
    one_asset = Option(collateral=USDC, debt=USDC, max_repay=0)
    sick = account({1: dollars(5_000)}, {1: dollars(4_500)})
    if expected is None:
        assert seize(view, sick, one_asset, dollars(1_000)).seized == dollars(1_050)
        return
    with pytest.raises(PoolRefusedError) as refusal:
        seize(view, sick, one_asset, dollars(1_000))
    assert refusal.value.refusal is expected
