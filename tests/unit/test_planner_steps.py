"""In which order a plan borrows, liquidates, sells and repays."""

from keeper.core.plan import LoanKind
from keeper.evm.program import BalanceOf, Call, Flash, Known, Swap
from keeper.planner.build import steps
from keeper.planner.case import Case, Desk
from keeper.planner.search import best_trades, closest
from keeper.planner.trade import Trade
from tests.support.lending_desk import (
    DAI,
    DEEP,
    LENDER,
    PROTOCOL,
    TRIANGLE,
    USDC,
    WBTC,
    WETH,
    case_with,
    desk_of,
    markets,
    option_of,
    pool_at_par,
    terms_of,
)


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
