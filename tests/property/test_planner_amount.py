"""For every account and depth of pools: no other amount, route or pair would have paid more."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core.lending import Option, Rejection, SeizeQuote
from keeper.core.plan import Plan
from keeper.core.values import replace
from keeper.planner.case import Case, Desk
from keeper.planner.ceiling import Ceilings
from keeper.planner.planner import Planner
from keeper.planner.routing import routes
from keeper.planner.trade import Trade, seizure, trade
from tests.support.lending_desk import (
    DAI,
    USDC,
    VALUATION,
    WBTC,
    WETH,
    Bonus,
    case_with,
    desk_of,
    named,
    option_of,
    pool_at_par,
    terms_of,
)

TERMS = terms_of()
PLANNER = Planner(terms=TERMS, venues=(), lenders=())
PAIRS = ((WETH, USDC), (WBTC, WETH), (WBTC, USDC), (WETH, DAI), (DAI, USDC))
RANKED = 10
"""Which paths a leg is divided over is ranked, not searched: others may do better by 1/2**10."""
depths = st.integers(17, 28).flatmap(lambda bits: st.integers(1 << bits, 2 << bits))


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """An account with one or two collaterals and debts, and pools of some depth."""

    case: Case
    desk: Desk
    protocol: Bonus


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    pools = tuple(
        pool_at_par(*pair, dollars=draw(depths), fee=fee)
        for pair in PAIRS
        for fee in draw(st.lists(st.sampled_from((100, 500, 3_000)), min_size=1, unique=True))
    )
    collaterals = draw(st.lists(st.sampled_from((WETH, WBTC)), min_size=1, unique=True))
    debts = draw(st.lists(st.sampled_from((USDC, DAI, WETH)), min_size=1, max_size=2, unique=True))
    dollars = draw(st.integers(100, 2_000_000))
    options = tuple(option_of(c, d, dollars=dollars) for c in collaterals for d in debts)
    protocol = Bonus(
        bonus_bps=draw(st.integers(10, 1_500)),
        fee_bps=draw(st.sampled_from((0, 1_000))),
        held=draw(st.sampled_from((10**40, 10**19, 10**8))),
    )
    desk = desk_of(
        *pools,
        intermediates=draw(st.sampled_from(((), (WETH,), (WETH, USDC)))),
        premium_bps=draw(st.sampled_from((0, 5, 9))),
    )
    return Situation(case=case_with(*options, protocol=protocol), desk=desk, protocol=protocol)


def rounding(option: Option) -> int:
    """Return the wei that a few raw units of what an option's routes touch are worth."""
    assets = {option.collateral, option.debt, WETH, USDC}
    return 16 * sum(VALUATION.wei_floor(asset, 1) + 1 for asset in assets)


def net_of(situation: Situation, option: Option, repay: int) -> int | None:
    """Return the best net of an amount over all routes."""
    case, desk = situation.case, situation.desk
    seize = seizure(case, option, repay)
    if not isinstance(seize, SeizeQuote):
        return None
    found = routes(desk, option, WETH, owed=repay, received=seize.received)
    tried = [trade(case, desk, TERMS, route, option, seize) for route in found]
    return max((one.net for one in tried if isinstance(one, Trade)), default=None)


@settings(max_examples=60, deadline=None)
@given(situation=situations(), shares=st.lists(st.integers(1, 10**9), min_size=4, max_size=8))
def test_no_sampled_amount_of_any_pair_pays_more(
    *, situation: Situation, shares: list[int]
) -> None:
    plan = PLANNER.plan(situation.case, situation.desk)
    best = plan.net_wei if isinstance(plan, Rejection) else plan.forecast.net
    for option in situation.case.opportunity.options:
        for share in shares:
            repay = max(1, option.max_repay * share // 10**9)
            net = net_of(situation, option, repay)
            if net is None:
                continue
            assert best is not None, f"{net} of {option} was not found"
            assert net <= max(best, 0) + rounding(option) + (max(best, 0) >> RANKED)


@settings(max_examples=60, deadline=None)
@given(situation=situations())
def test_what_can_be_earned_is_not_above_the_ceiling(*, situation: Situation) -> None:
    case, desk = situation.case, situation.desk
    plan = PLANNER.plan(case, desk)
    net = plan.net_wei if isinstance(plan, Rejection) else plan.forecast.net
    if net is not None:
        terms = terms_of(replace(TERMS.limits, min_profit=net))
        assert Ceilings(desk, terms).refusal(case) is None


@settings(max_examples=60, deadline=None)
@given(situation=situations())
def test_the_forecast_s_parts_are_what_the_legs_move(*, situation: Situation) -> None:
    plan = PLANNER.plan(situation.case, situation.desk)
    if isinstance(plan, Rejection):
        return
    parts, held = plan.forecast, {plan.option.collateral: plan.quote.received}
    held[plan.funding.asset] = held.get(plan.funding.asset, 0)
    owed = plan.funding.amount + plan.funding.fee
    assert plan.funding.amount == plan.quote.repay
    for leg in plan.route:
        held[leg.token_in] = held.get(leg.token_in, 0) - leg.amount_in
        held[leg.token_out] = held.get(leg.token_out, 0) + leg.amount_out
    held[plan.option.debt] -= owed
    assert {asset for asset, left in held.items() if left} <= {WETH}
    assert held[WETH] == parts.net + parts.gas + parts.tip
    assert parts.protocol_fee >= 0
    assert parts.flash_fee == VALUATION.wei_floor(plan.funding.asset, plan.funding.fee)


@settings(max_examples=25, deadline=None)
@given(depth=depths, sizes=st.lists(st.integers(500, 60_000), min_size=2, max_size=5))
def test_planning_together_earns_no_less_than_sending_each_one_s_own_plan(
    *, depth: int, sizes: list[int]
) -> None:
    """What each own plan would bring if the ones before it had moved the pools."""
    desk = desk_of(pool_at_par(WETH, USDC, dollars=depth), pool_at_par(WBTC, WETH, dollars=depth))
    cases = [
        case_with(option_of(WETH, USDC, dollars=size), account=named(f"{16 + i:x}"))
        for i, size in enumerate(sizes)
    ]
    together = [one for one in PLANNER.plan_all(cases, desk) if isinstance(one, Plan)]
    alone = [(case, PLANNER.plan(case, desk)) for case in cases]
    earned = 0
    for case, plan in sorted(alone, key=lambda one: -_net(one[1])):
        if isinstance(plan, Rejection):
            continue
        seize = seizure(case, plan.option, plan.quote.repay)
        assert isinstance(seize, SeizeQuote)
        (route,) = routes(desk, plan.option, WETH, owed=1, received=1)
        done = trade(case, desk, TERMS, route, plan.option, seize)
        if isinstance(done, Trade) and done.received >= plan.min_profit:
            earned += done.net
            desk = done.leave(desk)
        else:
            earned -= plan.forecast.gas
    slack = rounding(option_of(WETH, USDC, dollars=1)) * len(sizes)
    assert sum(one.forecast.net for one in together) >= earned - slack


def _net(found: Plan | Rejection) -> int:
    return found.forecast.net if isinstance(found, Plan) else 0
