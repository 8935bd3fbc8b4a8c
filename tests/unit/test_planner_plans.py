"""Which plan is made of an opportunity."""

import pytest

from keeper.core.chain import Fees
from keeper.core.lending import Reason, Rejection
from keeper.core.plan import LoanKind, Plan, SwapKind
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.evm.data_fees import ArbitrumData, OpStackData
from keeper.evm.program import BalanceOf, Call, Flash, Known, Swap
from keeper.planner.build import steps
from keeper.planner.case import Case, Desk
from keeper.planner.costs import GasModel, Limits
from keeper.planner.planner import Planner
from keeper.planner.search import best_trades, closest
from keeper.planner.trade import Trade
from tests.support.lending_desk import (
    ACCOUNT,
    DAI,
    EXECUTOR,
    LENDER,
    OPERATOR,
    PROTOCOL,
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
    pool_at_par,
    terms_of,
)

DEEP = 50_000_000
TRIANGLE = markets(DEEP, [(WETH, USDC), (WBTC, WETH), (WBTC, USDC)])


def planned(case: Case, desk: Desk, limits: Limits | None = None) -> Plan:
    found = Planner(terms=terms_of(limits), venues=(), lenders=()).plan(case, desk)
    assert isinstance(found, Plan), found
    return found


def refused(case: Case, desk: Desk, limits: Limits | None = None) -> Rejection:
    found = Planner(terms=terms_of(limits), venues=(), lenders=()).plan(case, desk)
    assert isinstance(found, Rejection), found
    return found


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


def test_a_tip_is_a_share_of_what_gas_leaves() -> None:
    limits = Limits(min_profit=0, max_gas_price=10**12, tip_bps=2_000)
    case = case_with(option_of(WETH, USDC, dollars=20_000))
    whole, shared = planned(case, desk_of(*TRIANGLE)), planned(case, desk_of(*TRIANGLE), limits)
    assert shared.tip == shared.forecast.tip == whole.forecast.net // 5
    assert shared.forecast.net == whole.forecast.net - shared.tip


ROLLUP = OpStackData(
    chain_id=10,
    fjord=True,
    l1_base_fee=10**10,
    base_fee_scalar=5_227,
    blob_base_fee=10**6,
    blob_base_fee_scalar=1_014_213,
)


def test_a_data_fee_is_part_of_the_gas() -> None:
    case = case_with(option_of(WETH, USDC, dollars=20_000))
    plain = planned(case, desk_of(*TRIANGLE))
    rolled = planned(case, replace(desk_of(*TRIANGLE), data_fees=ROLLUP))
    assert rolled.data_cost == ROLLUP.of(
        rolled.transaction, gas_limit=rolled.gas_limit, fees=rolled.fees
    )
    assert rolled.forecast.gas == plain.forecast.gas + rolled.data_cost.wei
    assert rolled.forecast.net == plain.forecast.net - rolled.data_cost.wei


@pytest.mark.parametrize(("debt", "hops"), [(USDC, 2), (WETH, 1), (DAI, 3)])
def test_the_size_that_data_is_bounded_by_is_that_of_a_plan(debt: Address, hops: int) -> None:
    pools = (*TRIANGLE, *markets(DEEP, [(USDC, DAI)]))
    plan = planned(
        case_with(option_of(WBTC, debt, dollars=2_000)),
        replace(desk_of(*pools, intermediates=(WETH, USDC)), data_fees=ROLLUP),
    )
    size = GasModel().size(len(plan.route))
    assert len(plan.route) == hops
    assert plan.data_cost.wei <= ROLLUP.at_most(size).wei
    assert size * 2 // 3 < len(plan.transaction.data) + 60 < size


def test_data_that_is_charged_as_gas_is_in_gas_and_limit() -> None:
    case = case_with(option_of(WETH, USDC, dollars=20_000))
    plain = planned(case, desk_of(*TRIANGLE))
    fees = ArbitrumData(wei_per_byte=16 * 10**9, wei_per_gas=10**9)
    rolled = planned(case, replace(desk_of(*TRIANGLE), data_fees=fees))
    price = desk_of().gas_price
    assert rolled.data_cost.gas > 4_000
    assert rolled.forecast.gas == plain.forecast.gas + rolled.data_cost.gas * price
    assert rolled.gas_limit >= plain.gas_limit + rolled.data_cost.gas


def test_a_fixed_tip_comes_before_the_share() -> None:
    limits = Limits(min_profit=0, max_gas_price=10**12, tip_bps=2_000, tip_fixed=10**12)
    case = case_with(option_of(WETH, USDC, dollars=20_000))
    whole, tipped = planned(case, desk_of(*TRIANGLE)), planned(case, desk_of(*TRIANGLE), limits)
    assert tipped.tip == 10**12 + (whole.forecast.net - 10**12) // 5


def test_a_share_of_the_profit_raises_the_priority_fee_up_to_the_cap() -> None:
    case = case_with(option_of(WETH, USDC, dollars=20_000))
    whole = planned(case, desk_of(*TRIANGLE))
    limits = Limits(min_profit=0, max_gas_price=10**12, bid_bps=1_000)
    bidding = planned(case, desk_of(*TRIANGLE), limits)
    raised = bidding.fees.priority_fee - whole.fees.priority_fee
    assert raised == bidding.fees.max_fee - whole.fees.max_fee > 0
    spent = bidding.forecast.gas - whole.forecast.gas
    assert whole.forecast.net // 10 - spent < 1_000_000
    assert spent <= whole.forecast.net // 10
    capped = Limits(min_profit=0, max_gas_price=whole.fees.max_fee + 7, bid_bps=1_000)
    assert planned(case, desk_of(*TRIANGLE), capped).fees.max_fee == whole.fees.max_fee + 7


def test_the_transaction_is_the_operator_s_to_the_executor() -> None:
    plan = planned(case_with(option_of(WETH, USDC, dollars=20_000)), desk_of(*TRIANGLE))
    assert (plan.transaction.sender, plan.transaction.to) == (OPERATOR, EXECUTOR)
    assert plan.transaction.value == 0
    assert plan.deadline == plan.opportunity.timestamp + 60
    assert plan.deadline.to_bytes(5) == plan.transaction.data[4:9]


def test_the_id_names_deployment_account_head_and_pair() -> None:
    plan = planned(case_with(option_of(WETH, USDC, dollars=20_000)), desk_of(*TRIANGLE))
    assert plan.id == f"bonus.local:a2a2a2a2:{ACCOUNT}:100-cdcdcdcd:WETH>USDC"


def best_of(case: Case, desk: Desk) -> Trade:
    found = closest(best_trades(case, desk, terms_of()))
    assert isinstance(found, Trade)
    return found


def test_the_rest_is_sold_only_after_the_loan_is_repaid() -> None:
    case, desk = case_with(option_of(WBTC, USDC, dollars=20_000)), desk_of(*TRIANGLE)
    loan, sale = steps(case, terms_of(), best_of(case, desk))
    assert isinstance(loan, Flash)
    assert loan.lender == LENDER
    call, buy = loan.inner
    assert isinstance(call, Call)
    assert call.target == PROTOCOL
    assert call.parts[0] == loan.amount
    assert isinstance(buy, Swap)
    assert (buy.amount, buy.limit) == (Known.OWED, BalanceOf(token=WBTC))
    assert isinstance(sale, Swap)
    assert (sale.amount, sale.limit) == (BalanceOf(token=WBTC), None)


def test_a_purchase_over_two_pools_is_paid_by_the_first_within_the_second() -> None:
    pools = markets(DEEP, [(DAI, USDC), (WBTC, DAI), (WBTC, WETH)])
    case = case_with(option_of(WBTC, USDC, dollars=20_000))
    loan, _ = steps(case, terms_of(), best_of(case, desk_of(*pools, intermediates=(DAI,))))
    assert isinstance(loan, Flash)
    last = loan.inner[1]
    assert isinstance(last, Swap)
    assert (last.token_in, last.token_out, last.amount) == (DAI, USDC, Known.OWED)
    (first,) = last.inner
    assert isinstance(first, Swap)
    assert (first.token_in, first.token_out, first.amount) == (WBTC, DAI, Known.OWED)
    assert first.limit == BalanceOf(token=WBTC)


def test_what_is_bought_out_of_the_sale_is_bought_before_the_loan_is_repaid() -> None:
    pools = markets(DEEP, [(WETH, USDC), (WBTC, WETH)])
    case = case_with(option_of(WBTC, USDC, dollars=20_000))
    (loan,) = steps(case, terms_of(), best_of(case, desk_of(*pools, intermediates=(WETH,))))
    assert isinstance(loan, Flash)
    _, sale, buy = loan.inner
    assert isinstance(sale, Swap)
    assert (sale.amount, sale.limit) == (BalanceOf(token=WBTC), None)
    assert isinstance(buy, Swap)
    assert (buy.amount, buy.limit) == (Known.OWED, BalanceOf(token=WETH))


def test_what_nobody_lends_is_bought_first_and_paid_out_of_the_spoils() -> None:
    case, desk = case_with(option_of(WBTC, USDC, dollars=20_000)), desk_of(*TRIANGLE, cash=0)
    bought = best_of(case, desk)
    assert (bought.funding.kind, bought.funding.fee) == (LoanKind.BOUGHT_FIRST, 0)
    buy, sale = steps(case, terms_of(), bought)
    assert isinstance(buy, Swap)
    assert (buy.token_in, buy.token_out, buy.amount) == (WBTC, USDC, bought.seize.repay)
    (call,) = buy.inner
    assert isinstance(call, Call)
    assert call.target == PROTOCOL
    assert isinstance(sale, Swap)
    assert (sale.token_in, sale.token_out) == (WBTC, WETH)


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


def test_what_is_bought_first_over_two_pools_is_paid_by_the_first_after_the_liquidation() -> None:
    pools = markets(DEEP, [(WETH, USDC), (WBTC, WETH)])
    case = case_with(option_of(WBTC, USDC, dollars=20_000))
    desk = desk_of(*pools, intermediates=(WETH,), cash=0)
    last, _ = steps(case, terms_of(), best_of(case, desk))
    assert isinstance(last, Swap)
    assert (last.token_in, last.token_out) == (WETH, USDC)
    call, first = last.inner
    assert isinstance(call, Call)
    assert isinstance(first, Swap)
    assert (first.token_in, first.token_out, first.amount) == (WBTC, WETH, Known.OWED)
    assert first.limit == BalanceOf(token=WBTC)


def test_the_parts_of_a_sale_sell_their_forecast_and_the_last_one_the_rest() -> None:
    pools = tuple(pool_at_par(WBTC, WETH, dollars=DEEP // 10, fee=fee) for fee in (100, 500))
    case, desk = case_with(option_of(WBTC, WETH, dollars=200_000)), desk_of(*pools)
    best = best_of(case, desk)
    (loan,) = steps(case, terms_of(), best)
    assert isinstance(loan, Flash)
    _, first, last = loan.inner
    assert isinstance(first, Swap)
    assert isinstance(last, Swap)
    assert (first.amount, first.limit) == (best.sale[0].amount_in, None)
    assert (last.amount, last.limit) == (BalanceOf(token=WBTC), None)
    assert best.sale[0].amount_in < best.sale[1].amount_in


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
