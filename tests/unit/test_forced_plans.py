"""Loans whose collateral will not cover their debt: closed at a loss, where that is allowed."""

import pytest

from keeper.core.lending import Health, Reason, Rejection
from keeper.core.plan import Plan
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.evm.data_fees import ArbitrumData, DataFees, OpStackData
from keeper.executor.policy import worst_gas
from keeper.planner.case import Case, Desk
from keeper.planner.costs import GasModel, Limits
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
    pool_at_par,
    terms_of,
)

DOLLAR = 10**8
DESK = desk_of(*markets(50_000_000, [(WETH, USDC)]))
BUDGET = 10**16
OFF = Limits(min_profit=10**15, max_gas_price=100 * 10**9, tip_fixed=10**9, bid_bps=1_000)
ON = replace(OFF, max_forced_loss=BUDGET)


def found(case: Case, desk: Desk, limits: Limits) -> Plan | Rejection:
    return Planner(terms=terms_of(limits), venues=(), lenders=()).plan(case, desk)


def forced(case: Case, desk: Desk = DESK, limits: Limits = ON) -> Plan:
    plan = found(case, desk, limits)
    assert isinstance(plan, Plan), plan
    assert plan.forced
    return plan


def owing(dollars: int, *, collateral: int, of: int = 20, protocol: Bonus | None = None) -> Case:
    """Return an account of which ``of`` dollars may be repaid."""
    case = case_with(option_of(WETH, USDC, dollars=of), protocol=protocol)
    health = Health(
        health_factor=WAD // 2,
        liquidatable=True,
        collateral_base=collateral * DOLLAR // 100,
        debt_base=dollars * DOLLAR,
    )
    return replace(case, opportunity=replace(case.opportunity, health=health))


INSOLVENT = owing(20, collateral=20 * 105 - 1)
"""A cent of collateral less than 20 dollars of debt and 5 % take."""


def test_an_insolvent_account_that_pays_too_little_is_liquidated_at_a_loss() -> None:
    plan = forced(INSOLVENT)
    assert plan.forecast.net < 0
    assert plan.quote.repay == 20 * 10**6
    assert -plan.forecast.net <= worst_gas(plan) <= BUDGET
    assert plan.least_net == -BUDGET
    assert (plan.tip, plan.fees) == (0, DESK.fees)


def test_the_chain_still_enforces_what_the_swaps_must_bring() -> None:
    plan = forced(INSOLVENT)
    received = plan.forecast.net + plan.forecast.gas
    assert plan.min_profit == -(-received * (10_000 - ON.haircut_bps) // 10_000) > 0


def test_nothing_is_forced_unless_it_is_switched_on() -> None:
    rejection = found(INSOLVENT, DESK, OFF)
    assert isinstance(rejection, Rejection)
    assert rejection.reason is Reason.BELOW_MIN_PROFIT
    assert rejection.net_wei == forced(INSOLVENT).forecast.net


def test_an_account_at_the_very_line_is_solvent() -> None:
    solvent = owing(20, collateral=20 * 105)
    assert found(solvent, DESK, ON) == found(solvent, DESK, OFF)
    assert isinstance(found(solvent, DESK, ON), Rejection)


def test_what_pays_is_an_ordinary_liquidation_of_an_insolvent_account_too() -> None:
    case = owing(20_000, collateral=100, of=20_000)
    assert found(case, DESK, ON) == found(case, DESK, OFF)
    plan = found(case, DESK, ON)
    assert isinstance(plan, Plan)
    assert not plan.forced


@pytest.mark.parametrize("short", [1, 10**14])
def test_what_could_lose_more_than_the_budget_is_refused_by_how_much(short: int) -> None:
    most = worst_gas(forced(INSOLVENT))
    assert forced(INSOLVENT, limits=replace(ON, max_forced_loss=most)).forced
    rejection = found(INSOLVENT, DESK, replace(ON, max_forced_loss=most - short))
    assert isinstance(rejection, Rejection)
    assert rejection.reason is Reason.FORCED_BUDGET
    assert f"could lose {most} wei, {short} wei over the budget of {most - short} wei" in (
        rejection.detail
    )
    assert rejection.net_wei == forced(INSOLVENT).forecast.net


OP_STACK = OpStackData(
    chain_id=10,
    fjord=True,
    l1_base_fee=10**10,
    base_fee_scalar=5_227,
    blob_base_fee=10**6,
    blob_base_fee_scalar=1_014_213,
)
ARBITRUM = ArbitrumData(wei_per_byte=16 * 10**9, wei_per_gas=10**9)


@pytest.mark.parametrize("charge", [OP_STACK, ARBITRUM], ids=["op", "arb"])
def test_what_a_rollup_charges_for_data_counts_for_the_budget(charge: DataFees) -> None:
    """At the most that a plan of its size is charged for, as nothing is built yet."""
    desk, plain = replace(DESK, data_fees=charge), forced(INSOLVENT)
    data = charge.at_most(GasModel().size(len(plain.route)))
    most = worst_gas(plain) + data.gas * DESK.fees.max_fee + data.wei
    assert most > worst_gas(plain)
    plan = forced(INSOLVENT, desk, replace(ON, max_forced_loss=most))
    assert worst_gas(plain) < worst_gas(plan) <= most
    rejection = found(INSOLVENT, desk, replace(ON, max_forced_loss=most - 1))
    assert isinstance(rejection, Rejection)
    assert f"could lose {most} wei, 1 wei over" in rejection.detail


@pytest.mark.parametrize(
    "offered", [{"tip_fixed": 10**9}, {"tip_bps": 1_000}, {"bid_bps": 1_000}], ids=str
)
def test_what_earns_less_than_the_least_net_is_forced_without_a_tip_or_a_bid(
    offered: dict[str, int],
) -> None:
    case = owing(2_000, collateral=2_000, of=2_000)
    limits = Limits(min_profit=10**18, max_gas_price=100 * 10**9, max_forced_loss=BUDGET, **offered)
    plan = forced(case, limits=limits)
    assert plan.forecast.net > 0
    assert (plan.tip, plan.fees) == (0, DESK.fees)


def test_of_pairs_the_one_that_repays_most_is_forced_and_then_the_one_that_loses_least() -> None:
    desk = desk_of(*markets(50_000_000, [(WETH, USDC), (WBTC, USDC), (WBTC, WETH)]))
    small, large = (option_of(WETH, USDC, dollars=dollars) for dollars in (10, 20))
    farther = option_of(WBTC, USDC, dollars=20)
    for options in ((small, large, farther), (farther, large, small)):
        health = INSOLVENT.opportunity.health
        case = case_with(*options)
        case = replace(case, opportunity=replace(case.opportunity, health=health))
        assert forced(case, desk).option == large


@pytest.mark.parametrize(("repaid", "done"), [(3, True), (1, False)])
def test_no_more_is_lost_than_is_repaid(*, repaid: int, done: bool) -> None:
    """Gas is some 1.6 dollars here; what a liquidation left over would be tried for ever."""
    plan = found(owing(20, collateral=0, of=repaid), DESK, ON)
    assert isinstance(plan, Plan) is done
    if isinstance(plan, Rejection):
        assert plan.reason is Reason.BELOW_MIN_PROFIT


def test_the_whole_loan_is_closed_though_a_part_of_it_would_lose_less() -> None:
    """In a thin pool the last dollars cost more than their bonus: they are repaid all the same."""
    thin = desk_of(*markets(30_000, [(WETH, USDC)]), base_fee=40 * 10**9)
    dear = replace(thin, fees=replace(thin.fees, max_fee=60 * 10**9))
    case = owing(1_000, collateral=1_000, of=1_000)
    limits = replace(OFF, max_forced_loss=10**17)
    best = found(case, dear, OFF)
    plan = forced(case, dear, limits)
    assert isinstance(best, Rejection)
    assert best.net_wei is not None
    assert plan.quote.repay == 1_000 * 10**6
    assert plan.forecast.net < best.net_wei < 0


def test_collateral_that_does_not_bring_what_is_owed_is_not_forced() -> None:
    """That would need money put in: the executor contract has none, and takes none."""
    protocol = Bonus(bonus_bps=5, fee_bps=0)
    desk = desk_of(*markets(2_000_000, [(WETH, USDC)]), pool_at_par(WETH, DAI, dollars=10**7))
    case = owing(20_000, collateral=100, of=20_000, protocol=protocol)
    rejection = found(case, desk, replace(ON, max_forced_loss=1))
    assert isinstance(rejection, Rejection)
    assert "short of what is owed" in rejection.detail
