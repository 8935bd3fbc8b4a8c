"""The exchange behind plans that are in flight."""

import pytest

from keeper.core.plan import Plan, SwapLeg
from keeper.planner.planner import Planner
from keeper.protocols.aave_v3.revision import V3_6
from keeper.protocols.aave_v3.state import AavePosition
from tests.support.lending_case import aave, aave_case
from tests.support.lending_desk import USDC, WBTC, WETH, desk_of, named, pool_at_par, terms_of

DESK = desk_of(
    pool_at_par(WETH, USDC, dollars=900_000),
    pool_at_par(WBTC, WETH, dollars=900_000),
    pool_at_par(WBTC, USDC, dollars=300_000),
    intermediates=(WETH,),
)
PLANNER = Planner(terms=terms_of(), venues=(), lenders=())
POSITIONS = (
    AavePosition(collateral=((2, 45_000_000),), debt=((1, 20_500_000_000),)),
    AavePosition(collateral=((0, 9 * 10**18),), debt=((1, 15_300_000_000),)),
)


def carried(position: AavePosition) -> tuple[Plan, object, object]:
    """Return a plan, the desk as it leaves it, and the desk carried past its legs."""
    case = aave_case(aave(V3_6), position)
    plan, left = PLANNER.plan_next(case, DESK)
    assert isinstance(plan, Plan)
    return plan, left, DESK.past(plan.route)


@pytest.mark.parametrize("position", POSITIONS, ids=["bought and sold", "one pool"])
def test_a_plan_known_by_its_legs_leaves_every_pool_as_it_was_planned_to(
    position: AavePosition,
) -> None:
    plan, left, past = carried(position)
    assert plan.route
    assert past == left
    assert past != DESK


def test_a_leg_that_no_book_knows_leaves_the_pools_as_they_are() -> None:
    plan, _, _ = carried(POSITIONS[1])
    (leg, *_) = plan.route
    elsewhere = SwapLeg(
        venue="an aggregator",
        pool=named("cc"),
        token_in=leg.token_in,
        token_out=leg.token_out,
        kind=leg.kind,
        amount_in=leg.amount_in,
        amount_out=leg.amount_out,
    )
    assert DESK.past([elsewhere]) == DESK
