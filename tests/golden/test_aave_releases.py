"""What the releases of Aave V3 changed, by figures on which they part; and their documents' cases.

The figures follow from the sources of each release (``aave-v3-core`` 1.19.3 and the tags of
``aave-v3-origin``): ``MathUtils``, ``TokenMath``, ``ScaledBalanceTokenBase``, ``GenericLogic``,
``LiquidationLogic`` and ``FlashLoanLogic``. 3.0 and 3.6 are held to their contracts in
``tests/onchain``; those between and after them are published in no package.
"""

import pytest

from keeper.core.errors import RefusedError
from keeper.core.lending import Option
from keeper.core.plan import Funding
from keeper.core.units import RAY, WAD, Address
from keeper.core.values import replace
from keeper.protocols.aave_v3.liquidation import options, seize
from keeper.protocols.aave_v3.loans import after_loan
from keeper.protocols.aave_v3.revision import RELEASES, V3_0, V3_3, V3_4, V3_5, V3_7, Rules
from keeper.protocols.aave_v3.seizing import Pair, available_collateral
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition, Supplied
from tests.support.aave_market import (
    PAIR,
    POOL,
    PRICES,
    RESERVES,
    USD,
    USDC,
    WBTC,
    WETH,
    account,
    changed,
    dollars,
    market,
    reserve,
)

GHO, DAI = (Address("0x" + f"{number:02x}" * 20) for number in (0xA3, 0xA4))

AT_PAR = Pair(
    collateral_price=USD,
    collateral_unit=1,
    debt_price=USD,
    debt_unit=1,
    bonus_bps=10_500,
    fee_bps=10_000,
    balance=10**6,
)
"""A grain of either is worth a dollar, and all of the bonus is the fee."""

every_release = pytest.mark.parametrize("rules", RELEASES.values(), ids=RELEASES)


def since(rules: Rules, release: Rules) -> bool:
    """Return whether rules are those of a release or of a later one."""
    return rules.release >= release.release


@every_release
def test_compounding_multiplies_before_it_divides_since_3_4(rules: Rules):
    expected = 1000000013318112721867188780 if since(rules, V3_4) else 1000000013318112714476683377
    assert rules.compounded_interest(35 * 10**24, 12) == expected


@every_release
def test_balances_round_to_the_protocols_side_since_3_5(rules: Rules):
    directed, index = since(rules, V3_5), 17 * RAY // 10
    assert rules.collateral_balance(1, index) == (1 if directed else 2)
    assert rules.debt_balance(1, 12 * RAY // 10) == (2 if directed else 1)


@every_release
def test_burns_round_to_the_protocols_side_since_3_5(rules: Rules):
    directed = since(rules, V3_5)
    assert rules.scaled_burn_collateral(1, 3 * RAY) == (1 if directed else 0)
    assert rules.scaled_burn_debt(2, 3 * RAY) == (0 if directed else 1)


@every_release
def test_any_debt_is_worth_something_since_3_5(rules: Rules):
    assert rules.debt_value(1, 1, 10**6) == (1 if since(rules, V3_5) else 0)


@every_release
def test_the_average_threshold_is_whole_basis_points_until_3_5(rules: Rules):
    weighted = 3 * USD * 8_000 + USD * 7_001
    expected = 1550050000000000000 if since(rules, V3_5) else 155 * WAD // 100
    assert rules.health_factor(4 * USD, weighted, 2 * USD) == expected


@every_release
def test_seizures_round_to_the_protocols_side_in_two_steps(rules: Rules):
    """Debt that short collateral asks for since 3.5, collateral and fee since 3.7."""
    pair = Pair(
        collateral_price=250123456789,
        collateral_unit=10**18,
        debt_price=99987654,
        debt_unit=10**6,
        bonus_bps=10_500,
        fee_bps=1_000,
        balance=10**18,
    )
    enough = available_collateral(rules, pair, 1234567891)
    net, fee = 515730985016146442, 2467612368498308
    down, up = (1, 1) if since(rules, V3_7) else (0, 0)
    assert (enough.net, enough.repay, enough.fee) == (net - down, 1234567891, fee + up)
    short = available_collateral(rules, replace(pair, balance=4 * 10**17), 1234567891)
    assert (short.net, short.fee) == (398095238095238095, 1904761904761905)
    assert short.repay == (952968918 if since(rules, V3_5) else 952968917)


@every_release
def test_what_of_the_collateral_is_bonus_rounds_up_since_3_7(rules: Rules):
    """Ten and a half are seized for ten; all of the bonus is the fee."""
    found = available_collateral(rules, AT_PAR, 10)
    assert (found.net, found.fee) == ((9, 1) if since(rules, V3_7) else (10, 1))


@every_release
def test_collateral_that_is_just_enough_takes_what_is_offered(rules: Rules):
    """``maxCollateralToLiquidate > userBalance`` is strict; reckoned back, the debt were one less.

    A hundredth of a grain of debt is worth one of collateral.
    """
    pair = replace(AT_PAR, debt_unit=100, bonus_bps=10_000, fee_bps=0, balance=10)
    assert available_collateral(rules, pair, 1_099).repay == 1_099
    assert available_collateral(rules, pair, 1_100).repay == 1_000


@every_release
def test_a_premium_is_the_suppliers_until_3_4(rules: Rules):
    supplied = Supplied(scaled=10**12, treasury=0, variable=0, factor_bps=0)
    known = changed(1, supplied=supplied if rules.premium_lifts_index else None)
    loan = Funding(source="aave_v3", lender=POOL, asset=USDC, amount=10**12, fee=5 * 10**8, gas=0)
    after = after_loan(market(rules, known), loan).reserves[1]
    assert after is not None
    lifted = RAY + RAY // 2_000
    assert after.liquidity_index == (RAY if since(rules, V3_4) else lifted)
    assert after.cash == RESERVES[1].cash + loan.fee


@every_release
def test_debt_that_rounds_to_nothing_burns_with_the_rest_of_bad_debt_since_3_3(rules: Rules):
    """Two millionths of a dollar are all the collateral: repaid for it is less than burns."""
    view = market(rules, changed(1, variable_index=10 * RAY))
    poor = account({0: 10**9}, {1: dollars(100)})
    if since(rules, V3_3):
        assert seize(view, poor, PAIR, dollars(100)).seized == 10**9
        return
    with pytest.raises(RefusedError, match="InvalidBurnAmount"):
        seize(view, poor, PAIR, dollars(100))


@every_release
def test_half_may_be_repaid_of_one_debt_and_of_all_debts_since_3_3(rules: Rules):
    """Aave-v3.3-features.md: 3,000 dollars each of three debts, and one collateral."""
    more = (reserve(3, GHO, "GHO", 6), reserve(4, DAI, "DAI", 6))
    prices = PRICES | {GHO: USD, DAI: USD}
    three = account({0: 56 * 10**17}, {1: dollars(3_000), 3: dollars(3_000), 4: dollars(3_000)})
    found = options(market(rules, (*RESERVES, *more), prices=prices), three)
    whole = 3_000 if since(rules, V3_3) else 1_500
    assert [one.max_repay for one in found] == [dollars(whole)] * 3


# --- Aave-v3.3-features.md, "no dust": its figures are of a leftover of 500, the code's 1,000 ---


def crumbs(rules: Rules) -> tuple[AaveMarket, AavePosition]:
    """Return collaterals of 800 and 2,000 dollars, debts of 1,800 and 800, and no bonus."""
    kinds = ((0, WETH, "A"), (1, WBTC, "B"), (2, USDC, "a"), (3, GHO, "b"))
    plain = {"threshold_bps": 8_729, "bonus_bps": 10_000, "protocol_fee_bps": 0}
    reserves = tuple(reserve(number, asset, name, 6, **plain) for number, asset, name in kinds)
    view = market(rules, reserves, prices={asset: USD for _, asset, _ in kinds})
    return view, account({0: dollars(800), 1: dollars(2_000)}, {2: dollars(1_800), 3: dollars(800)})


BIG_DEBT, SMALL_DEBT = USDC, GHO


@pytest.mark.parametrize("rules", [V3_3, V3_4, V3_5, V3_7], ids=lambda one: one.release)
@pytest.mark.parametrize(
    ("collateral", "debt", "taken", "refused"),
    [
        (WBTC, SMALL_DEBT, 800, 799),  # all of the small debt
        (WETH, BIG_DEBT, 800, 799),  # all of the small collateral
        (WBTC, BIG_DEBT, 800, 801),  # a thousand is left on both sides
        (WBTC, BIG_DEBT, 1_800, 1_799),  # all of the big debt
    ],
)
def test_what_may_be_left(rules: Rules, collateral, debt, taken: int, refused: int):
    view, poor = crumbs(rules)
    pair = Option(collateral=collateral, debt=debt, max_repay=0)
    assert seize(view, poor, pair, dollars(taken)).repay == dollars(taken)
    with pytest.raises(RefusedError, match="MustNotLeaveDust"):
        seize(view, poor, pair, dollars(refused))


def test_until_3_3_anything_may_be_left():
    view, poor = crumbs(V3_0)
    pair = Option(collateral=WBTC, debt=BIG_DEBT, max_repay=0)
    assert seize(view, poor, pair, dollars(1_799)).repay == dollars(1_799)
