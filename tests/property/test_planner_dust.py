"""Under Aave's own rules, whose close factor and dust leave holes, no other amount pays more."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core.lending import Option, Rejection, SeizeQuote
from keeper.core.units import BPS
from keeper.core.values import replace
from keeper.planner.case import Case, Desk
from keeper.planner.ceiling import Ceilings
from keeper.planner.planner import Planner
from keeper.planner.routing import routes
from keeper.planner.trade import Trade, seizure, trade
from keeper.protocols.aave_v3.revision import V3_0, V3_6, Rules
from keeper.protocols.aave_v3.state import AavePosition
from tests.support.lending_case import RESERVES, aave, aave_case, in_steps
from tests.support.lending_desk import (
    ASSETS,
    USDC,
    VALUATION,
    WBTC,
    WETH,
    desk_of,
    pool_at_par,
    terms_of,
)

TERMS = terms_of()
PLANNER = Planner(terms=TERMS, venues=(), lenders=())
PAIRS = ((WETH, USDC), (WBTC, WETH), (WBTC, USDC))
depths = st.integers(14, 26).flatmap(lambda bits: st.integers(1 << bits, 2 << bits))
dollars = st.integers(9, 19).flatmap(lambda bits: st.integers(1 << bits, 2 << bits))
"""500 to a million: half of them near the thresholds of 1,000 and 2,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Two collaterals and a debt or two, a little or far under the line; pools of any depth."""

    position: AavePosition
    desk: Desk

    def case(self, rules: Rules) -> Case:
        return aave_case(aave(rules), self.position)


def raw(number: int, value: int) -> int:
    """Return so many dollars of a reserve in raw units."""
    asset = ASSETS[RESERVES[number].asset]
    return value * 10**8 * asset.unit // asset.price


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    held = draw(st.dictionaries(st.sampled_from((0, 2)), dollars, min_size=1, max_size=2))
    supported = sum(value * RESERVES[n].threshold_bps for n, value in held.items())
    owed = supported * 1000 // (BPS * draw(st.sampled_from((999, 970, 951, 940, 900, 820))))
    shares = draw(st.sampled_from(({1: 100}, {0: 100}, {1: 60, 0: 40}, {1: 97, 0: 3})))
    pools = (
        pool_at_par(*pair, dollars=draw(depths), fee=draw(st.sampled_from((100, 500, 3_000))))
        for pair in PAIRS
    )
    desk = desk_of(*pools, intermediates=(WETH,), premium_bps=draw(st.sampled_from((0, 5))))
    drift = Fraction(draw(st.integers(985, 1_020)), 1_000)
    return Situation(
        position=AavePosition(
            collateral=tuple((n, raw(n, value)) for n, value in held.items()),
            debt=tuple((n, raw(n, owed * share // 100) or 1) for n, share in shares.items()),
        ),
        desk=desk.repriced({WETH: drift}),
    )


def amounts(case: Case, option: Option, shares: Iterable[int]) -> set[int]:
    """Return amounts to try: anywhere, and about each end of what the rules take."""
    anywhere = {max(1, option.max_repay * share // 10**9) for share in shares}
    whole = seizure(case, option, option.max_repay)
    ends = {option.max_repay} | ({whole.repay} if isinstance(whole, SeizeQuote) else set())
    low, high = 0, min(ends)
    while high - low > 1:
        middle = (low + high) // 2
        taken = isinstance(seizure(case, option, middle), SeizeQuote)
        low, high = (middle, high) if taken else (low, middle)
    ends.add(low)
    near = {end + step for end in ends for step in (-1_000, -1, 0, 1)}
    return anywhere | {one for one in near if 0 < one <= option.max_repay}


def net_of(case: Case, desk: Desk, option: Option, repay: int) -> int | None:
    """Return the best net of an amount over all routes."""
    seize = seizure(case, option, repay)
    if not isinstance(seize, SeizeQuote):
        return None
    found = routes(desk, option, WETH, owed=repay, received=seize.received)
    tried = [trade(case, desk, TERMS, route, option, seize) for route in found]
    return max((one.net for one in tried if isinstance(one, Trade)), default=None)


def rounding(option: Option) -> int:
    """Return the wei that a few raw units of what an option's routes touch are worth."""
    assets = {option.collateral, option.debt, WETH, USDC}
    return 16 * sum(VALUATION.wei_floor(asset, 1) + 1 for asset in assets)


@pytest.mark.parametrize("rules", [V3_0, V3_6], ids=["half of each debt", "no dust left"])
@settings(max_examples=60, deadline=None)
@given(situation=situations(), shares=st.lists(st.integers(1, 10**9), min_size=3, max_size=6))
def test_no_amount_that_aave_takes_pays_more(
    *, rules: Rules, situation: Situation, shares: list[int]
) -> None:
    case = situation.case(rules)
    plan = PLANNER.plan(case, situation.desk)
    best = plan.net_wei if isinstance(plan, Rejection) else plan.forecast.net
    for option in case.opportunity.options:
        for repay in sorted(amounts(case, option, shares)):
            net = net_of(case, situation.desk, option, repay)
            if net is None:
                continue
            assert best is not None, f"{net} of {option} was not found"
            assert net <= max(best, 0) + rounding(option), (option, repay)


@pytest.mark.parametrize("rules", [V3_0, V3_6], ids=["half of each debt", "no dust left"])
@settings(max_examples=60, deadline=None)
@given(situation=situations())
def test_what_can_be_earned_is_not_above_the_ceiling(*, rules: Rules, situation: Situation) -> None:
    desk = situation.desk
    case = in_steps(situation.case(rules), aave(rules), situation.position)
    plan = PLANNER.plan(case, desk)
    net = plan.net_wei if isinstance(plan, Rejection) else plan.forecast.net
    if net is not None:
        terms = terms_of(replace(TERMS.limits, min_profit=net))
        assert Ceilings(desk, terms).refusal(case) is None


def test_a_little_of_a_small_collateral_beats_all_of_it_in_a_thin_pool() -> None:
    """Between too little left and nothing left lies a hole: both sides of it are looked at."""
    position = AavePosition(
        collateral=((0, raw(0, 1_500)), (2, raw(2, 100_000))), debt=((1, raw(1, 79_000)),)
    )
    case = aave_case(aave(V3_6), position)
    desk = replace(desk_of(pool_at_par(WETH, USDC, dollars=38_000)), base_fee=10**6)
    small = next(one for one in case.opportunity.options if one.collateral == WETH)
    nets = {
        repay: net_of(case, desk, small, repay)
        for repay in range(small.max_repay // 2_000, small.max_repay + 1, small.max_repay // 2_000)
    }
    taken = sorted(repay for repay, net in nets.items() if net is not None)
    assert any(high - low > small.max_repay // 1_000 for low, high in pairwise(taken))
    best = max(taken, key=lambda repay: nets[repay] or 0)
    plan = PLANNER.plan(case, desk)
    assert not isinstance(plan, Rejection)
    assert plan.quote.repay < raw(1, 500)
    assert plan.forecast.net >= (nets[best] or 0) > (nets[taken[-1]] or 0)


def test_a_pool_too_thin_for_a_quarter_of_a_leg_still_takes_its_part() -> None:
    position = AavePosition(collateral=((2, raw(2, 27_000)),), debt=((1, raw(1, 20_000)),))
    case = aave_case(aave(V3_6), position)
    deep = [
        pool_at_par(WETH, USDC, dollars=490_000, fee=100),
        pool_at_par(WBTC, WETH, dollars=33_000_000, fee=100),
    ]
    thin = pool_at_par(WBTC, USDC, dollars=8_000, fee=100)
    plan, without = (
        PLANNER.plan(case, replace(desk_of(*pools, intermediates=(WETH,)), base_fee=2 * 10**9))
        for pools in ((*deep, thin), deep)
    )
    assert not isinstance(plan, Rejection)
    assert not isinstance(without, Rejection)
    assert len(plan.route) == len(without.route) + 1
    assert plan.forecast.net > without.forecast.net


def test_a_further_token_to_go_through_brings_no_less() -> None:
    """What is owed cannot be bought out of a sale that went through it."""
    held = {0: 100_000, 2: 80_000}
    supported = sum(value * RESERVES[n].threshold_bps for n, value in held.items())
    owed = supported * 100 // (97 * BPS)
    position = AavePosition(
        collateral=tuple((n, raw(n, value)) for n, value in held.items()),
        debt=((1, raw(1, owed * 60 // 100)), (0, raw(0, owed * 40 // 100))),
    )
    case = aave_case(aave(V3_6), position)
    pools = [
        pool_at_par(*pair, dollars=20_000_000, fee=fee)
        for pair in PAIRS
        for fee in (100, 500, 3_000)
    ]
    over_weth, over_both = (
        PLANNER.plan(case, desk_of(*pools, intermediates=middles))
        for middles in ((WETH,), (WETH, USDC))
    )
    assert not isinstance(over_weth, Rejection)
    assert not isinstance(over_both, Rejection)
    least = over_weth.forecast.net
    assert over_both.forecast.net >= least - (least >> 20)  # divided with other paths beside
