"""Why there is no plan, and by how much; what the chain enforces of the plan there is."""

import re
from decimal import Decimal

import pytest

from keeper.core.chain import Fees
from keeper.core.lending import Reason, Rejection
from keeper.core.plan import Plan, Underlying
from keeper.core.values import replace
from keeper.planner.case import Case, Desk
from keeper.planner.costs import Limits
from keeper.planner.planner import Planner
from keeper.planner.unwinding import Unwinding
from keeper.venues.unwinding.curve import Curve
from keeper.venues.unwinding.erc4626 import VaultBook
from tests.support.lending_desk import (
    ACCOUNT,
    ASSETS,
    DAI,
    DEEP,
    TRIANGLE,
    USDC,
    VALUATION,
    WBTC,
    WETH,
    Bonus,
    case_with,
    desk_of,
    markets,
    named,
    option_of,
    planned,
    pool_at_par,
    refused,
    terms_of,
)


def test_too_little_profit_says_how_much_is_missing() -> None:
    case = case_with(option_of(WETH, USDC, dollars=20_000))
    plan = planned(case, desk_of(*TRIANGLE))
    asked = plan.forecast.net + 123
    rejection = refused(case, desk_of(*TRIANGLE), Limits(min_profit=asked, max_gas_price=10**12))
    assert rejection.reason is Reason.BELOW_MIN_PROFIT
    assert rejection.net_wei == plan.forecast.net
    assert rejection.detail.startswith("WETH>USDC nets ")
    assert rejection.detail.endswith("needs 123 more wei")


def test_a_relative_minimum_is_asked_of_the_value_repaid() -> None:
    case = case_with(option_of(WETH, USDC, dollars=20_000))
    net = planned(case, desk_of(*TRIANGLE)).forecast.net
    bps = net * 10_000 // (10 * 10**18)
    limits = Limits(min_profit=0, max_gas_price=10**12, min_profit_bps=bps)
    assert planned(case, desk_of(*TRIANGLE), limits).forecast.net == net
    stricter = replace(limits, min_profit_bps=bps + 1)
    assert refused(case, desk_of(*TRIANGLE), stricter).reason is Reason.BELOW_MIN_PROFIT


def test_collateral_that_does_not_buy_the_debt_back_is_a_loss_with_a_figure() -> None:
    protocol = Bonus(bonus_bps=5, fee_bps=0)
    desk = desk_of(*markets(2_000_000, [(WETH, USDC)]), pool_at_par(WETH, DAI, dollars=DEEP))
    case = case_with(option_of(WETH, USDC, dollars=20_000), protocol=protocol)
    rejection = refused(case, desk)
    assert rejection.reason is Reason.BELOW_MIN_PROFIT
    assert rejection.net_wei is not None
    assert rejection.net_wei < 0
    # Five basis points do not pay for the pool's: a hundredth of ten WETH is missing, to the wei.
    said = r"the collateral is (0\.\d{1,17}[1-9]) WETH short of what is owed: needs \d+ more wei"
    short = re.fullmatch(said, rejection.detail)
    assert short is not None, rejection.detail
    # The rest is gas.
    assert 0 < -rejection.net_wei - Decimal(short[1]) * 10**18 < 10**17


UNPRICED = replace(VALUATION, assets={a: v for a, v in ASSETS.items() if a != WETH})


@pytest.mark.parametrize("dollars", [20_000, 200_000])
def test_a_native_coin_that_the_market_does_not_price_may_be_what_is_short(dollars: int) -> None:
    """As in a market of two other tokens; the debt is bought out of what the sale brings of it."""
    case = case_with(option_of(WBTC, USDC, dollars=dollars), protocol=Bonus(bonus_bps=0, fee_bps=0))
    pools = markets(2_000_000, [(WETH, USDC), (WBTC, WETH)])
    desk = desk_of(*pools, intermediates=(WETH,))
    found, priced = refused(replace(case, valuation=UNPRICED), desk), refused(case, desk)
    assert priced.reason is Reason.BELOW_MIN_PROFIT
    assert found.detail == priced.detail.replace("WETH", "of the native coin")
    assert found.net_wei == priced.net_wei


def test_what_is_short_of_the_native_coin_is_no_amount_of_an_underlying() -> None:
    """An ether that is missing is not a dollar that is missing."""
    share, dollars = WBTC, Underlying(address=DAI, symbol="DAI", unit=10**18)
    book = VaultBook(
        share=share,
        underlying=dollars,
        gas=100_000,
        curve=Curve(assets=50_000 * 10**10, supply=1),
        most=10**30,
        held=10**30,
    )
    pools = markets(50_000_000, [(DAI, WETH), (WETH, USDC)])
    desk = replace(desk_of(*pools, intermediates=(WETH,)), unwinding=Unwinding(books={share: book}))
    case = case_with(option_of(share, USDC, dollars=10_000))
    found, priced = refused(replace(case, valuation=UNPRICED), desk), refused(case, desk)
    assert found.net_wei == priced.net_wei


@pytest.mark.parametrize(
    ("case", "desk", "reason"),
    [
        (case_with(), desk_of(*TRIANGLE), Reason.NO_OPTION),
        (case_with(option_of(WETH, USDC, dollars=0)), desk_of(*TRIANGLE), Reason.NO_OPTION),
        (
            case_with(
                option_of(WETH, USDC, dollars=10),
                protocol=Bonus(owed=10**40, dust=10**41),
            ),
            desk_of(*TRIANGLE),
            Reason.NO_OPTION,
        ),
        (case_with(option_of(DAI, USDC, dollars=10)), desk_of(*TRIANGLE), Reason.NO_ROUTE),
        (
            case_with(option_of(USDC, WETH, dollars=20_000)),
            desk_of(*TRIANGLE, cash=0),
            Reason.NO_FUNDING,
        ),
    ],
    ids=["nothing offered", "nothing to repay", "the protocol refuses", "no pool", "no lender"],
)
def test_a_no_has_its_reason(case: Case, desk: Desk, reason: Reason) -> None:
    rejection = refused(case, desk)
    assert rejection.reason is reason
    assert rejection.ref.account == ACCOUNT


def test_gas_above_the_cap_is_a_no_by_how_much() -> None:
    limits = Limits(min_profit=0, max_gas_price=10**9)
    case = case_with(option_of(WETH, USDC, dollars=20_000))
    rejection = refused(case, desk_of(*TRIANGLE), limits)
    assert rejection.reason is Reason.GAS_PRICE_CAP
    assert "100000000 wei above the most that is offered" in rejection.detail


def test_a_fee_that_the_next_block_does_not_take_is_a_no() -> None:
    desk = replace(desk_of(*TRIANGLE), fees=Fees(max_fee=10**9 - 1, priority_fee=0))
    rejection = refused(case_with(option_of(WETH, USDC, dollars=20_000)), desk)
    assert rejection.reason is Reason.GAS_PRICE_CAP


def test_the_chain_enforces_the_forecast_less_the_haircut() -> None:
    limits = Limits(min_profit=1, max_gas_price=10**12, haircut_bps=100)
    plan = planned(case_with(option_of(WETH, USDC, dollars=20_000)), desk_of(*TRIANGLE), limits)
    received = plan.forecast.net + plan.forecast.gas
    assert plan.min_profit == -(-received * 99 // 100)


def test_the_chain_never_accepts_less_than_gas_and_the_least_profit() -> None:
    case = case_with(option_of(WETH, USDC, dollars=20_000))
    net = planned(case, desk_of(*TRIANGLE)).forecast.net
    limits = Limits(min_profit=net - 5, max_gas_price=10**12, haircut_bps=5_000)
    plan = planned(case, desk_of(*TRIANGLE), limits)
    assert plan.min_profit == plan.forecast.gas + net - 5


def test_what_is_not_counted_on_until_inclusion_is_not_there_for_the_least_profit() -> None:
    case = case_with(option_of(WETH, USDC, dollars=20_000))
    whole = planned(case, desk_of(*TRIANGLE))
    proceeds = whole.forecast.net + whole.forecast.gas
    spare = whole.forecast.net - -(-proceeds // 10)
    limits = Limits(min_profit=spare, max_gas_price=10**12, inclusion_bps=1_000)
    assert planned(case, desk_of(*TRIANGLE), limits).forecast.net == whole.forecast.net
    rejection = refused(case, desk_of(*TRIANGLE), replace(limits, min_profit=spare + 3))
    assert rejection.reason is Reason.BELOW_MIN_PROFIT
    assert "needs 3 more wei" in rejection.detail


def test_an_account_that_the_others_leave_nothing_for_is_refused_last() -> None:
    desk = desk_of(*markets(150_000, [(WETH, USDC)]))
    cases = [
        case_with(option_of(WETH, USDC, dollars=4_000), account=named(f"b{n}")) for n in range(3)
    ]
    planner = Planner(terms=terms_of(), venues=(), lenders=())
    assert all(isinstance(planner.plan(case, desk), Plan) for case in cases)
    results = planner.plan_all(cases, desk)
    assert len(results) == 3
    assert isinstance(results[0], Plan)
    assert isinstance(results[-1], Rejection)
    assert results[-1].reason is Reason.BELOW_MIN_PROFIT


def test_no_funding_says_what_is_wanted_and_the_most_that_is_lent() -> None:
    protocol = Bonus(headroom=10**30)
    desk = desk_of(*TRIANGLE, cash=9 * 10**18)
    rejection = refused(case_with(option_of(USDC, WETH, dollars=20), protocol=protocol), desk)
    assert rejection.reason is Reason.NO_FUNDING
    wanted = 10**30 + 10**16
    assert rejection.detail == (
        f"wants {wanted} raw units of WETH, and the most that anyone lends is {9 * 10**18}"
    )


def test_no_route_names_the_pair_without_a_pool_and_where_was_looked() -> None:
    rejection = refused(case_with(option_of(WBTC, DAI, dollars=10)), desk_of(*TRIANGLE))
    assert rejection.detail == "no pools swap WBTC for DAI (looked at uniswap_v3)"
    rejection = refused(case_with(option_of(DAI, USDC, dollars=10)), desk_of(*TRIANGLE))
    assert rejection.detail == (
        "no pools swap DAI for USDC and DAI for WETH (looked at uniswap_v3)"
    )


def test_pools_that_end_say_at_which_amount() -> None:
    desk = desk_of(*markets(100, [(WETH, USDC)]))
    only_whole = Bonus(owed=10**12, dust=10**12)
    rejection = refused(case_with(option_of(WETH, USDC, dollars=10**6), protocol=only_whole), desk)
    assert rejection.reason is Reason.NO_ROUTE
    owed = 10**12 + 10**12 * 5 // 10_000
    assert rejection.detail == (
        f"buying {owed} raw units of USDC goes beyond the pools' known range"
    )


def test_a_token_whose_price_is_rounded_to_nothing_is_left_alone() -> None:
    nothing = {**ASSETS, WBTC: replace(ASSETS[WBTC], price=0)}
    case = replace(
        case_with(option_of(WBTC, USDC, dollars=20_000)),
        valuation=replace(VALUATION, assets=nothing),
    )
    found = refused(case, desk_of(*TRIANGLE))
    assert found.reason is Reason.PRICE_UNUSABLE
    assert found.detail.startswith("a whole WBTC is worth less")
