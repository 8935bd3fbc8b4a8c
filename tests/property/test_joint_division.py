"""For every set of pools: no other division of what is bought and sold leaves more."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core.ports import SwapQuote
from keeper.core.values import replace
from keeper.planner.broker import Broker
from keeper.planner.case import Desk
from keeper.planner.joint_division import Joint, Ways, divide
from keeper.planner.routing import Route, routes
from tests.support.lending_desk import (
    ASSETS,
    DAI,
    USDC,
    WBTC,
    WETH,
    desk_of,
    option_of,
    pool_at_par,
)

PAIRS = ((WETH, USDC), (WBTC, WETH), (WBTC, USDC), (WBTC, DAI), (DAI, USDC), (DAI, WETH))
SLACK = 2 * 10**5
"""Shares are left as they are where the gain is flat: a 200,000th of the value repaid.

Besides, each part is rounded by itself, by a raw unit of what goes in and one of what comes out."""
depths = st.integers(20, 27).flatmap(lambda bits: st.integers(1 << bits, 2 << bits))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A route whose legs depend on each other, and what goes along it."""

    desk: Desk
    ways: Ways
    owed: int
    held: int

    def proceeds(self, shares: Sequence[int]) -> int | None:
        """Return what is left when so much is bought along each path, None where nothing is."""
        paths = (*self.ways.repay, *self.ways.buyback)
        quotes = [
            self.desk.exact_out(p, s) if s else None for p, s in zip(paths, shares, strict=True)
        ]
        if any(s and q is None for s, q in zip(shares, quotes, strict=True)):
            return None
        direct = _there(quotes[: len(self.ways.repay)])
        rest = self.held - sum(one.amount_in for one in direct)
        sale = Broker(self.desk).after(*direct).sell(self.ways.sale, rest) if rest > 0 else None
        if sale is None:
            return None
        paid = sum(one.amount_in for one in _there(quotes[len(self.ways.repay) :]))
        return sum(one.amount_out for one in sale) - paid

    def shares(self, found: Joint) -> list[int]:
        bought = {part.path: part.amount_out for part in (*found.repay, *found.buyback)}
        return [bought.get(path, 0) for path in (*self.ways.repay, *self.ways.buyback)]

    def holds(self, found: Joint) -> None:
        """Check that each swap is what the pools quote, and that all of the rest is sold."""
        after = self.desk.after(*found.repay)
        for part in (*found.repay, *found.buyback):
            assert self.desk.exact_out(part.path, part.amount_out) == part
        for part in found.sale:
            assert after.exact_in(part.path, part.amount_in) == part
        spent = sum(part.amount_in for part in (*found.repay, *found.sale))
        assert spent == self.held
        paid = sum(part.amount_in for part in found.buyback)
        assert found.proceeds == sum(part.amount_out for part in found.sale) - paid

    @property
    def slack(self) -> int:
        """Return the wei that are left on the table."""
        unit = ASSETS[WETH].unit * ASSETS[WBTC].price // (ASSETS[WETH].price * ASSETS[WBTC].unit)
        paths = len(self.ways.repay) + len(self.ways.buyback)
        return 4 * paths * unit + self.owed * 10**18 // (2_000 * 10**6) // SLACK


def _there(quotes: Sequence[SwapQuote | None]) -> list[SwapQuote]:
    return [one for one in quotes if one is not None]


@st.composite
def drawn(draw: st.DrawFn) -> Drawn:
    pools = [
        pool_at_par(*pair, dollars=draw(depths), fee=fee)
        for pair in PAIRS
        for fee in draw(st.lists(st.sampled_from((100, 500, 3_000)), min_size=1, unique=True))
    ]
    desk = desk_of(*pools, intermediates=draw(st.sampled_from(((WETH,), (DAI,), (WETH, DAI)))))
    dollars = draw(st.integers(1_000, 500_000))
    option = option_of(WBTC, USDC, dollars=dollars)
    held = dollars * draw(st.integers(103, 130)) * 10**8 // (100 * 60_000)
    found = routes(desk, option, WETH, owed=option.max_repay, received=held)
    joint = [route for route in found if route.is_joint]
    route: Route = draw(st.sampled_from(joint)) if joint else draw(st.nothing())
    ways = Ways(repay=route.repay, sale=route.sale, buyback=route.buyback)
    return Drawn(desk=desk, ways=ways, owed=option.max_repay, held=held)


moves = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 10**6)), min_size=4, max_size=12
)


@settings(max_examples=80)
@given(one=drawn(), moves=moves)
def test_nothing_moved_from_one_path_to_another_leaves_more(
    *, one: Drawn, moves: list[tuple[int, int, int]]
) -> None:
    found = divide(Broker(one.desk), one.ways, owed=one.owed, held=one.held)
    if found is None:
        return
    shares = one.shares(found)
    assert sum(shares) == one.owed
    one.holds(found)
    if found.proceeds < 0:
        return
    slack = one.slack
    same = one.proceeds(shares)
    assert same is not None
    assert abs(same - found.proceeds) <= slack  # the sale is divided anew
    for source, target, millionths in moves:
        other = list(shares)
        moved = other[source % len(other)] * millionths // 10**6
        other[source % len(other)] -= moved
        other[target % len(other)] += moved
        left = one.proceeds(other)
        assert left is None or left <= found.proceeds + slack


@settings(max_examples=80)
@given(one=drawn(), thousandths=st.lists(st.integers(20, 4_000), min_size=1, max_size=6))
def test_what_was_divided_before_does_no_harm(*, one: Drawn, thousandths: list[int]) -> None:
    broker = Broker(one.desk)
    for share in thousandths:
        owed, held = (max(amount * share // 1_000, 1) for amount in (one.owed, one.held))
        divide(broker, one.ways, owed=owed, held=held)
        fewer = replace(one.ways, repay=one.ways.repay[:1], buyback=one.ways.buyback[:1])
        divide(broker, fewer, owed=owed, held=held)
    after = divide(broker, one.ways, owed=one.owed, held=one.held)
    afresh = divide(Broker(one.desk), one.ways, owed=one.owed, held=one.held)
    if afresh is not None and afresh.proceeds >= 0:
        assert after is not None
        assert after.proceeds >= afresh.proceeds - one.slack


@settings(max_examples=80)
@given(one=drawn(), fewer=st.tuples(st.integers(1, 3), st.integers(1, 3)))
def test_what_wider_ways_left_out_is_known_of_narrower_ones(
    *, one: Drawn, fewer: tuple[int, int]
) -> None:
    broker, own = Broker(one.desk), one.ways
    ways = replace(own, repay=own.repay[: fewer[0]], buyback=own.buyback[: fewer[1]])
    wide = divide(broker, own, owed=one.owed, held=one.held)
    narrow = divide(broker, ways, owed=one.owed, held=one.held)
    if narrow is not None:
        parts = zip((narrow.repay, narrow.sale, narrow.buyback), ways.legs, strict=True)
        assert all(part.path in way for swaps, way in parts for part in swaps)
        replace(one, ways=ways).holds(narrow)
        is_enough = wide is not None and wide.goes_along(ways)
        assert not is_enough or narrow is wide
    afresh = divide(Broker(one.desk), ways, owed=one.owed, held=one.held)
    if afresh is not None and afresh.proceeds >= 0:
        assert narrow is not None
        assert narrow.proceeds >= afresh.proceeds - one.slack
