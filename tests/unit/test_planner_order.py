"""Who goes first of accounts that compete, and what becomes of a trade without those before it."""

from collections.abc import Sequence

import pytest

from keeper.core.values import replace
from keeper.planner.case import Case, Desk
from keeper.planner.markets import repeated
from keeper.planner.offers import Chosen
from keeper.planner.planner import Planner
from tests.support.lending_desk import (
    DAI,
    TRIANGLE,
    USDC,
    WBTC,
    WETH,
    Bonus,
    case_with,
    desk_of,
    markets,
    named,
    option_of,
    terms_of,
)

PLANNER = Planner(terms=terms_of(), venues=(), lenders=())
PAIRS = ((WETH, USDC), (WBTC, WETH), (DAI, WETH))
SHALLOW = desk_of(*markets(2_000_000, PAIRS))
"""Of each pair one pool, which every plan moves."""


def account(number: int, place: int, dollars: int) -> Case:
    return case_with(option_of(*PAIRS[place], dollars=dollars), account=named(f"b{number}"))


def one_by_one(cases: Sequence[Case], desk: Desk) -> list[Chosen]:
    """Return whoever nets the most of all that still pay, each time anew; the first of equals."""
    found, left = list[Chosen](), list(cases)
    while chosen := [one for case in left for one in PLANNER.choose_all([case], desk)[0]]:
        first = max(chosen, key=lambda one: one.trade.net)
        left.remove(first.alone)
        desk = first.trade.leave(desk)
        found.append(first)
    return found


@pytest.mark.parametrize(
    "loans",
    [
        # The second comes after the others of their own pools: the first has moved its pool.
        [(0, 30_000), (0, 28_000), (1, 24_000), (2, 22_000), (2, 2_000)],
        [(2, 2_000), (2, 22_000), (1, 24_000), (0, 28_000), (0, 30_000)],
        [(0, 30_000), (0, 30_000), (1, 30_000), (1, 30_000), (2, 30_000)],
        [(1, 9_000), (1, 8_000), (1, 7_000), (2, 6_000), (0, 5_000)],
        [(0, 40_000), (0, 39_000), (0, 38_000), (1, 3_000), (1, 2_000)],
    ],
)
def test_each_time_whoever_nets_the_most_on_what_is_left_goes_next(
    loans: list[tuple[int, int]],
) -> None:
    cases = [account(number, *loan) for number, loan in enumerate(loans, 1)]
    chosen, _ = PLANNER.choose_all(cases, SHALLOW)
    wanted = one_by_one(cases, SHALLOW)
    assert [one.trade for one in chosen] == [one.trade for one in wanted]
    assert [one.alone for one in chosen] == [one.alone for one in wanted]


# --- without those before it -----------------------------------------------------------------

DESK = desk_of(*TRIANGLE)
MOVED = desk_of(*markets(10_000_000, [(WETH, USDC), (WBTC, WETH), (WBTC, USDC)]))
CASE = case_with(option_of(WBTC, USDC, dollars=20_000))


def chosen_at(desk: Desk) -> Chosen:
    ((chosen,), _) = PLANNER.choose_all([CASE], desk)
    return chosen


def test_a_trade_that_sells_is_as_it_was_where_its_pools_are() -> None:
    trade = chosen_at(DESK).trade
    assert trade.repay
    assert trade.sale
    assert repeated(CASE, DESK, terms_of(), trade) is trade


def test_a_trade_at_other_pools_repays_as_much_for_what_they_bring() -> None:
    trade = chosen_at(DESK).trade
    again = repeated(CASE, MOVED, terms_of(), trade)
    assert again is not None
    assert (again.steps, again.route) == (trade.steps, trade.route)
    assert again.proceeds < trade.proceeds


def test_a_trade_that_other_pools_cannot_carry_out_is_chosen_anew() -> None:
    trade = chosen_at(DESK).trade
    dry = desk_of(*markets(15_000, [(WETH, USDC), (WBTC, WETH), (WBTC, USDC)]))
    assert repeated(CASE, dry, terms_of(), trade) is None


def test_a_forced_trade_at_other_pools_is_chosen_anew_for_its_budget() -> None:
    """What it may lose was reckoned of the swaps as they were."""
    forced = replace(chosen_at(DESK).trade, forced=True)
    assert repeated(CASE, DESK, terms_of(), forced) is forced
    assert repeated(CASE, MOVED, terms_of(), forced) is None


def test_a_trade_whose_liquidation_comes_out_otherwise_is_chosen_anew() -> None:
    trade = chosen_at(DESK).trade
    other = case_with(*CASE.opportunity.options, protocol=Bonus(bonus_bps=501))
    assert repeated(other, DESK, terms_of(), trade) is None
