"""Who pays only because others are sent anyway is planned at what it adds to their gas."""

from keeper.core.lending import Reason, Rejection
from keeper.core.plan import Plan
from keeper.core.values import replace
from keeper.planner.additions import LEAST_SAVED, after, along, only_along, worth_a_look
from keeper.planner.case import Case
from keeper.planner.costs import Limits
from keeper.planner.markets import Markets
from keeper.planner.planner import Planner
from tests.support.lending_desk import (
    USDC,
    WETH,
    case_with,
    desk_of,
    named,
    option_of,
    pool_at_par,
    terms_of,
)

DESK = desk_of(pool_at_par(WETH, USDC, dollars=5_000_000))
ONCE, FURTHER = 480_000, 150_000
"""What ``Bonus`` says of a first liquidation and of a further one."""


def planner(least: int = 1, **limits: int) -> Planner:
    terms = terms_of(Limits(min_profit=least, max_gas_price=100 * 10**9, **limits))
    return Planner(terms=terms, venues=(), lenders=())


def account(number: int, dollars: int) -> Case:
    return case_with(option_of(WETH, USDC, dollars=dollars), account=named(f"{number:x}"))


def net_of(case: Case) -> int:
    found = planner(least=-(10**20)).plan(case, DESK)
    assert isinstance(found, Plan)
    return found.forecast.net


def test_a_first_liquidation_of_one_that_goes_along_costs_what_a_further_one_does() -> None:
    case = account(16, 10_000)
    net, added = net_of(case), net_of(along(case))
    assert added - net == (ONCE - FURTHER) * DESK.gas_price


def test_where_a_further_one_costs_as_much_the_least_that_was_seen_is_saved() -> None:
    case = replace(account(16, 10_000), gas=lambda _, quotes: ONCE * len(quotes))
    assert net_of(along(case)) - net_of(case) == LEAST_SAVED * DESK.gas_price


def test_what_goes_along_pays_no_tip_and_bids_for_nothing() -> None:
    case = account(16, 50_000)
    alone = planner(tip_fixed=10**15, tip_bps=500, bid_bps=1_000)
    plans = alone.plan(case, DESK), alone.along().plan(case, DESK)
    assert all(isinstance(one, Plan) for one in plans)
    tipped, plain = (one for one in plans if isinstance(one, Plan))
    assert (plain.tip, plain.fees) == (0, DESK.fees)
    assert tipped.tip > 0
    assert tipped.fees.priority_fee > DESK.fees.priority_fee


def refusal(net: int | None, reason: Reason = Reason.BELOW_MIN_PROFIT) -> Rejection:
    ref = account(16, 1).opportunity.ref
    return Rejection(ref=ref, block=1, reason=reason, detail="", net_wei=net)


def test_only_those_that_lack_no_more_than_gas_that_may_be_saved_are_looked_at_again() -> None:
    near, nearer, far = refusal(-100_000 * DESK.gas_price), refusal(-1), refusal(-(10**18))
    unknown, other = refusal(None), refusal(-1, Reason.NO_ROUTE)
    assert worth_a_look([near, far, unknown, nearer, other], DESK, 4) == [nearer, near]
    assert worth_a_look([near, nearer], DESK, 1) == [nearer]


def test_what_goes_along_is_planned_on_what_the_others_leave() -> None:
    big, small = account(16, 40_000), account(17, 4_000)
    least = net_of(small) + 1
    chosen, refused = planner(least).choose_all([big, small], DESK)
    assert [one.ref for one in refused] == [small.opportunity.ref]
    left, markets = after(chosen, DESK, Markets())
    cases = list(only_along([big, small], {one.ref for one in refused}))
    ((added,), _) = planner(0).along().choose_all(cases, left, markets)
    ((before,), _) = planner(0).along().choose_all(cases, DESK)
    assert added.desk is left
    assert added.trade.proceeds < before.trade.proceeds
