"""What is left out of several liquidations in turn would hardly have netted more."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core.values import replace
from keeper.planner import in_steps as stepping
from keeper.planner.case import Case, Desk
from keeper.planner.search import best_trades, closest
from keeper.planner.trade import Terms, Trade
from keeper.protocols.aave_v3.revision import V3_0
from keeper.protocols.aave_v3.state import AavePosition
from tests.support.lending_case import RESERVES, aave, aave_case, in_steps
from tests.support.lending_desk import ASSETS, USDC, WBTC, WETH, desk_of, pool_at_par, terms_of

LIMITS = terms_of().limits
ALL_TERMS = {
    "no tip and no bid": terms_of(),
    "a tip": terms_of(replace(LIMITS, tip_fixed=10**15, tip_bps=3_000)),
    "a bid that reaches its cap": terms_of(
        replace(LIMITS, bid_bps=9_000, max_gas_price=12 * 10**9)
    ),
}
LEFT_OUT = 10
"""What could bring less than ``1/2**10`` more is not looked for."""
NOISE = 13
"""A division begins where the last one ended, so that each of two quotes its own."""
depths = st.integers(18, 26).flatmap(lambda bits: st.integers(1 << bits, 2 << bits))


def raw(number: int, dollars: int) -> int:
    asset = ASSETS[RESERVES[number].asset]
    return dollars * 10**8 * asset.unit // asset.price


@st.composite
def cases(draw: st.DrawFn) -> tuple[Case, Desk]:
    """Draw an account just under the line, so that half of its debt is the most that one takes."""
    held = {0: draw(st.integers(0, 10**6)), 2: draw(st.integers(10**4, 10**6))}
    supported = sum(value * RESERVES[n].threshold_bps for n, value in held.items())
    owed = supported // 10_000 * 1_000 // draw(st.integers(955, 999))
    share = draw(st.sampled_from((100, 60)))
    position = AavePosition(
        collateral=tuple((n, raw(n, value)) for n, value in held.items() if value),
        debt=((1, raw(1, owed * share // 100)), (0, raw(0, owed * (100 - share) // 100)))[
            : 2 - share // 100
        ],
    )
    pools = [
        pool_at_par(*pair, dollars=draw(depths), fee=fee)
        for pair in ((WETH, USDC), (WBTC, WETH), (WBTC, USDC))
        for fee in draw(st.lists(st.sampled_from((500, 3_000)), min_size=1, unique=True))
    ]
    market = aave(V3_0)
    case = in_steps(aave_case(market, position), market, position)
    return case, desk_of(*pools, intermediates=(WETH,))


def best(case: Case, desk: Desk, terms: Terms) -> Trade | None:
    found = closest(best_trades(case, desk, terms))
    return found if isinstance(found, Trade) else None


def hardly_less_than(trade: Trade) -> int:
    return trade.net - (abs(trade.net) >> LEFT_OUT) - (abs(trade.net) >> NOISE)


@pytest.mark.parametrize("terms", ALL_TERMS.values(), ids=ALL_TERMS)
@settings(max_examples=40, deadline=None)
@given(drawn=cases())
def test_hardly_anything_better_is_left_out(terms: Terms, drawn: tuple[Case, Desk]) -> None:
    case, desk = drawn
    found = best(case, desk, terms)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stepping, "_at_most", lambda *_: 10**40)
        whole = best(case, desk, terms)
    if whole is not None:
        assert found is not None
        assert found.net >= hardly_less_than(whole)


def test_what_cannot_be_the_best_is_not_searched_in_steps() -> None:
    """A step more adds a hair where a first one nearly cures: less than a dearer pool costs."""
    owed = 200_000 * RESERVES[2].threshold_bps // 10_000 * 1_000 // 999
    position = AavePosition(collateral=((2, raw(2, 200_000)),), debt=((1, raw(1, owed)),))
    market = aave(V3_0)
    case = in_steps(aave_case(market, position), market, position)
    pools = [
        pool_at_par(*pair, dollars=50_000_000, fee=fee)
        for pair, fee in (((WBTC, USDC), 500), ((WBTC, USDC), 3_000), ((WBTC, WETH), 500))
    ]
    desk = replace(desk_of(*pools), base_fee=10**6)
    found = [one for one in best_trades(case, desk, terms_of()) if isinstance(one, Trade)]
    stepped = {one.route for one in found if len(one.steps) > 1}
    assert stepped == {max(found, key=lambda one: one.net).route}
    assert len({one.route for one in found}) > 1


@pytest.mark.parametrize(("under_by", "steps"), [(1_000, {1, 2}), (100_000, {1})])
def test_what_could_bring_hardly_more_is_not_looked_for(under_by: int, steps: set[int]) -> None:
    """As for an account that one price brings a hair under the line, where gas costs nothing."""
    owed = 200_000 * RESERVES[2].threshold_bps // 10_000 * under_by // (under_by - 1)
    position = AavePosition(collateral=((2, raw(2, 200_000)),), debt=((1, raw(1, owed)),))
    market = aave(V3_0)
    case = in_steps(aave_case(market, position), market, position)
    pools = [pool_at_par(*pair, dollars=50_000_000) for pair in ((WBTC, USDC), (WBTC, WETH))]
    desk = replace(desk_of(*pools), base_fee=10**3)
    found = [one for one in best_trades(case, desk, terms_of()) if isinstance(one, Trade)]
    assert {len(one.steps) for one in found} == steps


@pytest.mark.parametrize("terms", ALL_TERMS.values(), ids=ALL_TERMS)
@settings(max_examples=40, deadline=None)
@given(drawn=cases())
def test_no_pair_alone_brings_more_than_the_best_of_all(
    terms: Terms, drawn: tuple[Case, Desk]
) -> None:
    """A pair that brings less in one liquidation may bring the most in several."""
    case, desk = drawn
    found = best(case, desk, terms)
    for option in case.opportunity.options:
        alone = replace(case, opportunity=replace(case.opportunity, options=(option,)))
        one = best(alone, desk, terms)
        if one is not None:
            assert found is not None
            assert found.net >= hardly_less_than(one)


def test_a_pair_that_brings_less_at_once_may_bring_the_most_in_steps() -> None:
    """No swap is needed for the native coin, so that each further liquidation pays."""
    held = 11_200 * 10_000 // RESERVES[0].threshold_bps
    position = AavePosition(
        collateral=((0, raw(0, held)),), debt=((1, raw(1, 8_108)), (0, raw(0, 3_475)))
    )
    market = aave(V3_0)
    case = in_steps(aave_case(market, position), market, position)
    desk = desk_of(pool_at_par(WETH, USDC, dollars=200_000))
    trades = [one for one in best_trades(case, desk, terms_of()) if isinstance(one, Trade)]
    at_once = max((one for one in trades if len(one.steps) == 1), key=lambda one: one.net)
    whole = max(trades, key=lambda one: one.net)
    assert (at_once.option.debt, whole.option.debt) == (USDC, WETH)
    assert len(whole.steps) > 1
    assert whole.net > at_once.net * 5 // 4
