"""What an account can bring at most: close where pools are deep, and never below what it brings."""

import math

import pytest

from keeper.core.lending import Health, Reason, Rejection
from keeper.core.plan import Plan
from keeper.core.units import WAD, Address
from keeper.core.values import replace
from keeper.planner.case import After, Case, Desk
from keeper.planner.costs import Limits
from keeper.planner.planner import Planner
from tests.support.lending_desk import (
    DAI,
    USDC,
    WBTC,
    WETH,
    Bonus,
    case_with,
    desk_of,
    markets,
    option_of,
    terms_of,
)

PAIRS = ((WETH, USDC), (WBTC, WETH), (WBTC, USDC))
DESK = desk_of(*markets(10**12, PAIRS), premium_bps=0)
OPTIONS = [(WETH, USDC), (WBTC, WETH), (WBTC, USDC), (USDC, WETH), (WETH, WETH)]


def planner(min_profit: int, forced: int | None = None) -> Planner:
    limits = Limits(min_profit=min_profit, max_gas_price=10**12, max_forced_loss=forced)
    return Planner(terms=terms_of(limits), venues=(), lenders=())


def again(case: Case, min_profit: int, desk: Desk = DESK) -> Plan | Rejection:
    found = planner(min_profit)
    return found.plan_again(case, found.ceilings(desk))


def is_cut_short(found: Plan | Rejection) -> bool:
    return isinstance(found, Rejection) and " at most, " in found.detail


def closed_at_once(case: Case) -> Case:
    """Return the case where the largest call leaves no debt: there is no further step."""
    healthy = Health(health_factor=2 * WAD, liquidatable=False, collateral_base=1, debt_base=0)
    return replace(case, after=lambda *_: After(health=healthy, case=lambda: case))


@pytest.mark.parametrize(("collateral", "debt"), OPTIONS)
def test_in_deep_pools_it_is_what_the_plan_nets(collateral: Address, debt: Address) -> None:
    case = closed_at_once(case_with(option_of(collateral, debt, dollars=3_000)))
    plan = planner(0).plan(case, DESK)
    assert isinstance(plan, Plan)
    net = plan.forecast.net
    assert again(case, net) == planner(net).plan(case, DESK)
    found = again(case, net + net // 100)
    assert is_cut_short(found)
    assert isinstance(found, Rejection)
    assert found.reason is Reason.BELOW_MIN_PROFIT
    assert found.net_wei is None


def test_it_says_how_much_is_missing() -> None:
    case = closed_at_once(case_with(option_of(WETH, USDC, dollars=3_000)))
    found = again(case, 10**18)
    assert isinstance(found, Rejection)
    words = found.detail.split()
    assert int(words[1]) + int(words[-3]) == 10**18


def test_a_protocol_that_lets_a_call_be_repeated_may_bring_more() -> None:
    case = case_with(option_of(WETH, USDC, dollars=3_000))
    plan = planner(0).plan(case, DESK)
    assert isinstance(plan, Plan)
    twice = 2 * plan.forecast.net
    assert is_cut_short(again(closed_at_once(case), twice))
    assert not is_cut_short(again(case, twice))


def test_nothing_is_cut_short_where_a_loss_is_allowed() -> None:
    case = closed_at_once(case_with(option_of(WETH, USDC, dollars=3_000)))
    found = planner(10**18, forced=1)
    assert not is_cut_short(found.plan_again(case, found.ceilings(DESK)))


def test_without_a_way_the_reason_is_the_planner_s() -> None:
    case = closed_at_once(case_with(option_of(DAI, USDC, dollars=3_000)))
    found = again(case, 10**18)
    assert isinstance(found, Rejection)
    assert found == planner(10**18).plan(case, DESK)
    assert found.reason is Reason.NO_ROUTE


def test_an_amount_that_the_protocol_refuses_says_nothing_of_smaller_ones() -> None:
    option = option_of(WETH, USDC, dollars=3_000)
    rules = Bonus(owed=option.max_repay + 5, dust=10)
    assert not is_cut_short(again(case_with(option, protocol=rules), 10**18))


def test_gas_above_the_cap_comes_first() -> None:
    dear = replace(DESK, base_fee=10**13, fees=replace(DESK.fees, max_fee=10**13))
    found = again(case_with(option_of(WETH, USDC, dollars=3_000)), 10**18, dear)
    assert isinstance(found, Rejection)
    assert found.reason is Reason.GAS_PRICE_CAP


def test_the_figures_are_finite() -> None:
    found = again(closed_at_once(case_with(option_of(USDC, WETH, dollars=1))), 10**18)
    assert isinstance(found, Rejection)
    assert math.isfinite(float(found.detail.split()[1]))
