"""Which of several lenders is borrowed from: whose fee and gas together cost the least."""

from collections.abc import Sequence
from itertools import combinations

import pytest

from keeper.core.plan import LoanKind, Plan
from keeper.core.ports import LoanBook
from keeper.core.units import BPS
from keeper.core.values import replace
from keeper.planner.case import Desk
from keeper.planner.planner import Planner
from keeper.venues.flash_loans import AaveV3LoanBook
from keeper.venues.loan_book import LoanBook as PoolBook
from tests.support.lending_desk import (
    ASSETS,
    LENDER,
    USDC,
    WETH,
    case_with,
    desk_of,
    markets,
    named,
    option_of,
    planned,
    terms_of,
)

PREMIUM = AaveV3LoanBook(
    source="aave_v3",
    pool=LENDER,
    premium_bps=5,
    rounds_up=False,
    available=dict.fromkeys(ASSETS, 10**30),
)


def pool(number: int, *, fee_bps: int, gas: int) -> PoolBook:
    return PoolBook(
        source=f"pool {number}",
        lender=named(f"e{number}"),
        kind=LoanKind.FLASH_POOL,
        held=dict.fromkeys(ASSETS, 10**30),
        gas=gas,
        fee=fee_bps,
        fee_unit=BPS,
    )


SAME, DEAR, CHEAP = (
    pool(1, fee_bps=5, gas=62_000),
    pool(2, fee_bps=30, gas=62_000),
    pool(3, fee_bps=1, gas=200_000),
)


def lending(loans: Sequence[LoanBook], base_fee: int = 10**9, depth: int = 5_000_000) -> Desk:
    """Return a desk with these lenders, and a pool worth so many dollars a side."""
    desk = desk_of(*markets(depth, [(WETH, USDC)]), base_fee=base_fee)
    fees = replace(desk.fees, max_fee=2 * base_fee + desk.fees.priority_fee)
    return replace(desk, loans=tuple(loans), fees=fees)


def test_a_raw_unit_of_fee_is_not_worth_much_gas() -> None:
    """Premiums are rounded half-up, pools' fees up: of one rate the one is at times a unit less."""
    option = replace(option_of(WETH, USDC, dollars=2_000), max_repay=2_000 * 10**6 + 7)
    plan = planned(case_with(option), lending([PREMIUM, SAME]))
    aave, same = (one.quote(USDC, plan.quote.repay) for one in (PREMIUM, SAME))
    assert aave is not None
    assert same is not None
    assert same.fee == aave.fee + 1
    assert plan.funding == same


@pytest.mark.parametrize("base_fee", [10**8, 10**9, 2 * 10**9, 30 * 10**9])
@pytest.mark.parametrize(("depth", "precision"), [(5_000_000, 32), (20_000, 11)])
@pytest.mark.parametrize("dollars", [300, 3_000, 30_000, 3_000_000])
def test_with_several_lenders_a_plan_nets_as_much_as_with_the_best_of_them(
    dollars: int, depth: int, precision: int, base_fee: int
) -> None:
    """Or nearly, where the best amount is about the one from which another lender costs less.

    A fee counts at the market's price, and is bought at the pool's.
    """
    case, books = case_with(option_of(WETH, USDC, dollars=dollars)), (PREMIUM, SAME, DEAR, CHEAP)
    planner = Planner(terms=terms_of(), venues=(), lenders=())

    def net(*loans: LoanBook) -> int:
        found = planner.plan(case, lending(loans, base_fee, depth))
        return found.forecast.net if isinstance(found, Plan) else 0

    alone = {one.source: net(one) for one in books}
    for number in (2, 3, 4):
        for loans in combinations(books, number):
            best = max(alone[one.source] for one in loans)
            assert abs(net(*loans) - best) <= best >> precision


def test_of_two_of_the_same_gas_the_one_of_least_fee_lends() -> None:
    free = pool(4, fee_bps=0, gas=62_000)
    case = case_with(option_of(WETH, USDC, dollars=20_000))
    for loans in ([free, SAME], [SAME, free]):
        assert planned(case, lending(loans)).funding.lender == free.lender
