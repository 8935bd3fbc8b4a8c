"""Which plan is made of an opportunity: by which pools, how much of it, and of which pair."""

import pytest

from keeper.core.chain import Fees
from keeper.core.lending import AccountRef, Reason
from keeper.core.plan import Plan, SwapKind
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.planner.costs import Limits
from keeper.planner.planner import Planner
from tests.support.lending_desk import (
    ACCOUNT,
    DAI,
    DEEP,
    EXECUTOR,
    OPERATOR,
    PROTOCOL,
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


def legs_of(plan: Plan) -> list[tuple[Address, Address, SwapKind]]:
    return [(leg.token_in, leg.token_out, leg.kind) for leg in plan.route]


BUY, SELL = SwapKind.EXACT_OUT_OWED, SwapKind.EXACT_IN_BALANCE


def test_collateral_buys_what_is_owed_and_the_rest_becomes_native() -> None:
    plan = planned(case_with(option_of(WBTC, USDC, dollars=20_000)), desk_of(*TRIANGLE))
    assert legs_of(plan) == [(WBTC, USDC, BUY), (WBTC, WETH, SELL)]
    buy, sell = plan.route
    assert buy.amount_out == plan.quote.repay + plan.funding.fee
    assert buy.amount_in + sell.amount_in == plan.quote.received
    assert plan.forecast.net == sell.amount_out - plan.forecast.gas


def test_native_collateral_only_buys_what_is_owed() -> None:
    plan = planned(case_with(option_of(WETH, USDC, dollars=20_000)), desk_of(*TRIANGLE))
    assert legs_of(plan) == [(WETH, USDC, BUY)]
    left = plan.quote.received - plan.route[0].amount_in
    assert plan.forecast.net == left - plan.forecast.gas


def test_native_debt_is_repaid_out_of_the_sale_of_everything() -> None:
    plan = planned(case_with(option_of(WBTC, WETH, dollars=20_000)), desk_of(*TRIANGLE))
    assert legs_of(plan) == [(WBTC, WETH, SELL)]
    assert plan.route[0].amount_in == plan.quote.received
    left = plan.route[0].amount_out - plan.quote.repay - plan.funding.fee
    assert plan.forecast.net == left - plan.forecast.gas


def test_the_same_asset_on_both_sides_needs_no_purchase() -> None:
    plan = planned(case_with(option_of(USDC, USDC, dollars=20_000)), desk_of(*TRIANGLE))
    assert legs_of(plan) == [(USDC, WETH, SELL)]
    left = plan.quote.received - plan.quote.repay - plan.funding.fee
    assert plan.route[0].amount_in == left


def test_native_on_both_sides_needs_no_swap() -> None:
    plan = planned(case_with(option_of(WETH, WETH, dollars=20_000)), desk_of())
    assert plan.route == ()
    assert plan.forecast.swap_cost == 0


def test_two_hops_serve_where_no_pool_does() -> None:
    pools = markets(DEEP, [(WETH, USDC), (WBTC, WETH)])
    case = case_with(option_of(WBTC, USDC, dollars=20_000))
    assert refused(case, desk_of(*pools)).reason is Reason.NO_ROUTE
    plan = planned(case, desk_of(*pools, intermediates=(WETH,)))
    assert legs_of(plan) == [(WBTC, WETH, SELL), (WETH, USDC, BUY)]


def test_no_pool_is_gone_through_twice_where_the_native_coin_is_in_between() -> None:
    """All is sold at once, and what is owed is bought out of that."""
    pools = markets(DEEP, [(WETH, USDC), (WBTC, WETH)])
    case = case_with(option_of(WBTC, USDC, dollars=20_000))
    plan = planned(case, desk_of(*pools, intermediates=(WETH,)))
    sale, buy = plan.route
    assert sale.amount_in == plan.quote.received
    assert buy.amount_out == plan.quote.repay + plan.funding.fee
    assert plan.forecast.net == sale.amount_out - buy.amount_in - plan.forecast.gas


def test_what_is_owed_is_bought_both_with_collateral_and_out_of_its_sale() -> None:
    """To the same rate in the end: neither a little more nor a little less would bring more."""
    pools = markets(4_000_000, [(WETH, USDC), (WBTC, WETH), (WBTC, USDC)])
    case = case_with(option_of(WBTC, USDC, dollars=300_000))
    desk = desk_of(*pools, intermediates=(WETH,))
    plan = planned(case, desk)
    fixed = (WBTC, USDC, SwapKind.EXACT_OUT)
    assert legs_of(plan) == [fixed, (WBTC, WETH, SELL), (WETH, USDC, BUY)]

    def proceeds(direct: int) -> int:
        first = desk.exact_out(desk.paths(WBTC, USDC)[0], direct)
        assert first is not None
        last = desk.exact_out(desk.paths(WETH, USDC)[0], owed - direct)
        assert last is not None
        sale = desk.exact_in(desk.paths(WBTC, WETH)[0], plan.quote.received - first.amount_in)
        assert sale is not None
        return sale.amount_out - last.amount_in

    owed, chosen = plan.quote.repay + plan.funding.fee, plan.route[0].amount_out
    best = proceeds(chosen)
    assert best == plan.forecast.net + plan.forecast.gas
    assert best > max(proceeds(chosen + step) for step in (-(10**9), 10**9))


def test_legs_that_share_a_pool_are_quoted_one_after_the_other() -> None:
    shallow = markets(400_000, [(DAI, USDC), (WBTC, DAI), (DAI, WETH)])
    desk = desk_of(*shallow, intermediates=(DAI,))
    plan = planned(case_with(option_of(WBTC, USDC, dollars=5_000)), desk)
    first, _, last, _ = plan.route
    assert first.pool == last.pool
    alone = desk.exact_in(desk.paths(WBTC, DAI)[0], last.amount_in)
    assert alone is not None
    assert last.amount_out < alone.amount_out


def test_the_cheapest_of_several_pools_is_taken() -> None:
    pools = tuple(pool_at_par(WETH, USDC, dollars=DEEP, fee=fee) for fee in (3_000, 100, 500))
    plan = planned(case_with(option_of(WETH, USDC, dollars=1_000)), desk_of(*pools))
    assert [leg.pool for leg in plan.route] == [pools[1].address]


def test_a_leg_is_divided_where_that_saves_more_than_the_gas_of_a_pool() -> None:
    pools = tuple(pool_at_par(WETH, USDC, dollars=DEEP // 10, fee=fee) for fee in (100, 500))
    case = case_with(option_of(WETH, USDC, dollars=200_000))
    plan = planned(case, desk_of(*pools))
    assert legs_of(plan) == [(WETH, USDC, SwapKind.EXACT_OUT), (WETH, USDC, BUY)]
    assert {leg.pool for leg in plan.route} == {pool.address for pool in pools}
    assert sum(leg.amount_out for leg in plan.route) == plan.quote.repay + plan.funding.fee
    alone = [planned(case, desk_of(pool)).forecast.net for pool in pools]
    assert plan.forecast.net > max(alone)


def test_dear_gas_keeps_a_leg_whole() -> None:
    pools = tuple(pool_at_par(WETH, USDC, dollars=DEEP // 10, fee=fee) for fee in (100, 500))
    case = case_with(option_of(WETH, USDC, dollars=20_000))
    limits = Limits(min_profit=0, max_gas_price=10**13)
    desk = desk_of(*pools, base_fee=3 * 10**9)
    assert len(planned(case, desk, limits).route) == 2
    dear = replace(desk, fees=Fees(max_fee=10**12, priority_fee=10**11), base_fee=3 * 10**11)
    assert len(planned(case, dear, limits).route) == 1


def test_the_pair_with_the_greatest_net_is_taken() -> None:
    small, large = option_of(WETH, USDC, dollars=5_000), option_of(WBTC, USDC, dollars=50_000)
    plan = planned(case_with(small, large), desk_of(*TRIANGLE))
    assert plan.option == large


def test_thin_pools_make_a_smaller_amount_best() -> None:
    thin = desk_of(*markets(300_000, [(WETH, USDC)]))
    option = option_of(WETH, USDC, dollars=50_000)
    plan = planned(case_with(option), thin)
    assert 0 < plan.quote.repay < option.max_repay


def test_the_lender_s_cash_bounds_the_amount() -> None:
    desk = desk_of(*TRIANGLE, cash=7_000 * 10**6)
    plan = planned(case_with(option_of(WETH, USDC, dollars=20_000)), desk)
    assert plan.quote.repay == 7_000 * 10**6


def test_collateral_that_runs_out_bounds_the_amount() -> None:
    protocol = Bonus(held=2 * 10**18)
    plan = planned(
        case_with(option_of(WETH, USDC, dollars=20_000), protocol=protocol), desk_of(*TRIANGLE)
    )
    assert plan.quote.seized <= 2 * 10**18
    assert 3_800 * 10**6 < plan.quote.repay < 3_810 * 10**6


def test_a_leftover_that_the_protocol_forbids_is_kept_out_of() -> None:
    owed = option_of(WETH, USDC, dollars=20_000).max_repay
    protocol = Bonus(owed=owed, dust=1_000 * 10**6)
    thin = desk_of(*markets(700_000, [(WETH, USDC)]))
    case = case_with(option_of(WETH, USDC, dollars=20_000), protocol=protocol)
    repay = planned(case, thin).quote.repay
    assert repay == owed or repay <= owed - 1_000 * 10**6


@pytest.mark.parametrize("debt", [USDC, WETH])
def test_headroom_is_borrowed_and_only_its_fee_has_to_be_earned(debt: Address) -> None:
    option = option_of(WBTC, debt, dollars=20_000)
    headroom = option.max_repay // 10
    plain = planned(case_with(option), desk_of(*TRIANGLE, premium_bps=0))
    roomy = planned(
        case_with(option, protocol=Bonus(headroom=headroom)), desk_of(*TRIANGLE, premium_bps=0)
    )
    assert roomy.funding.amount == plain.funding.amount + headroom
    assert roomy.forecast == plain.forecast
    charged = planned(case_with(option, protocol=Bonus(headroom=headroom)), desk_of(*TRIANGLE))
    assert charged.forecast.flash_fee == VALUATION.wei_floor(debt, charged.funding.fee)


def test_the_transaction_is_the_operator_s_to_the_executor() -> None:
    plan = planned(case_with(option_of(WETH, USDC, dollars=20_000)), desk_of(*TRIANGLE))
    assert (plan.transaction.sender, plan.transaction.to) == (OPERATOR, EXECUTOR)
    assert plan.transaction.value == 0
    assert plan.deadline == plan.opportunity.timestamp + 60
    assert plan.deadline.to_bytes(5) == plan.transaction.data[4:9]


def test_the_id_names_deployment_market_account_and_head() -> None:
    plan = planned(case_with(option_of(WETH, USDC, dollars=20_000)), desk_of(*TRIANGLE))
    assert plan.id == f"bonus.local:{PROTOCOL}:{ACCOUNT}:100-cdcdcdcd"


def test_a_plan_for_another_pair_is_of_the_same_name() -> None:
    """What is made anew behind a plan that was taken out is what was asked of the journal."""
    one, other = (
        planned(case_with(option_of(pledged, USDC, dollars=20_000)), desk_of(*TRIANGLE))
        for pledged in (WETH, WBTC)
    )
    assert one.option != other.option
    assert one.id == other.id


def test_markets_whose_names_end_alike_have_plans_of_their_own() -> None:
    """Anybody can make two such markets on Morpho Blue, with the same account and pair."""
    plans = []
    for market in ("0xaa" + "12" * 8, "0xbb" + "12" * 8):
        case = case_with(option_of(WETH, USDC, dollars=20_000))
        ref = AccountRef(market=market, account=ACCOUNT)
        case = replace(case, opportunity=replace(case.opportunity, ref=ref))
        plans.append(planned(case, desk_of(*TRIANGLE)))
    assert plans[0].id != plans[1].id


def test_buying_first_costs_what_a_free_loan_does_but_for_its_gas() -> None:
    case = case_with(option_of(WBTC, USDC, dollars=20_000))
    lent = planned(case, desk_of(*TRIANGLE, premium_bps=0))
    bought = planned(case, desk_of(*TRIANGLE, cash=0))
    assert (bought.route, bought.quote) == (lent.route, lent.quote)
    desk = desk_of(*TRIANGLE, premium_bps=0)
    saved = lent.funding.gas * desk.gas_price
    was = lent.forecast
    assert saved > 0
    assert bought.forecast == replace(was, gas=was.gas - saved, net=was.net + saved)


def test_accounts_that_share_a_pool_are_quoted_on_what_the_others_leave() -> None:
    desk = desk_of(*markets(2_000_000, [(WETH, USDC)]))
    one, other = named("b1"), named("b2")
    cases = [
        case_with(option_of(WETH, USDC, dollars=10_000), account=one),
        case_with(option_of(WETH, USDC, dollars=20_000), account=other),
    ]
    planner = Planner(terms=terms_of(), venues=(), lenders=())
    first, second = planner.plan_all(cases, desk)
    assert isinstance(first, Plan)
    assert isinstance(second, Plan)
    assert (first.ref.account, second.ref.account) == (other, one)
    assert first == planner.plan(cases[1], desk)
    alone = planner.plan(cases[0], desk)
    assert isinstance(alone, Plan)
    assert second.forecast.net < alone.forecast.net
