"""For every set of pools: no other division of an amount does better than the one that is found."""

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core.ports import SwapQuote
from keeper.planner.broker import Broker
from keeper.planner.case import Desk
from keeper.planner.division import Way
from tests.support.lending_desk import DAI, USDC, WBTC, WETH, desk_of, pool_at_par

depths = st.integers(17, 28).flatmap(lambda bits: st.integers(1 << bits, 2 << bits))
FEES = (100, 500, 3_000)
RAW = {WBTC: 10**8, USDC: 10**6}
SLACK, AT_THE_END = 10**6, 100
"""Kinks in the pools' liquidity leave less than a millionth of the amount on the table.

Where a path cannot take it all, how far its known range goes is only bisected: a hundredth then.
Besides, each part is rounded by itself, by a raw unit of what goes in and one of what comes out."""


@st.composite
def ways(draw: st.DrawFn) -> tuple[Desk, Way]:
    """Draw pools of WBTC and USDC, direct and over WETH or DAI, and two to four ways through."""
    direct = [pool_at_par(WBTC, USDC, dollars=draw(depths), fee=fee) for fee in FEES]
    firsts = [pool_at_par(WBTC, m, dollars=draw(depths), fee=500) for m in (WETH, DAI)]
    seconds = [pool_at_par(m, USDC, dollars=draw(depths), fee=500) for m in (WETH, DAI)]
    desk = desk_of(*direct, *firsts, *seconds, intermediates=(WETH, DAI))
    paths = desk.paths(WBTC, USDC)
    assert len(paths) == 5
    way = draw(st.lists(st.sampled_from(paths), min_size=2, max_size=4, unique=True))
    return desk, tuple(way)


cuts = st.lists(st.lists(st.integers(0, 100), min_size=4, max_size=4), min_size=1, max_size=8)


def cut(amount: int, weights: list[int], parts: int) -> list[int]:
    """Cut an amount by weights; the last part takes the rest."""
    total = max(1, sum(weights[:parts]))
    shares = [amount * weight // total for weight in weights[: parts - 1]]
    return [*shares, amount - sum(shares)]


@settings(max_examples=150, deadline=None)
@given(drawn=ways(), dollars=st.integers(1, 3_000_000), weights=cuts)
def test_no_other_division_of_a_sale_brings_more(
    *, drawn: tuple[Desk, Way], dollars: int, weights: list[list[int]]
) -> None:
    desk, way = drawn
    amount = dollars * RAW[WBTC] // 60_000 + 1
    found = Broker(desk).sell(way, amount)
    singles = [desk.exact_in(path, amount) for path in way]
    if found is None:
        assert not any(singles)
        return
    assert sum(part.amount_in for part in found) == amount
    brought = sum(part.amount_out for part in found)
    others = [one.amount_out for one in singles if one is not None]
    for one in weights:
        shares = cut(amount, one, len(way))
        quotes = [desk.exact_in(p, s) if s else None for p, s in zip(way, shares, strict=True)]
        if all(q is not None or not s for q, s in zip(quotes, shares, strict=True)):
            others.append(sum(q.amount_out for q in quotes if q is not None))
    rounding = 2 * len(way) * (1 + brought // amount)
    slack = SLACK if all(singles) else AT_THE_END
    assert brought + rounding + brought // slack >= max(others, default=0)


@settings(max_examples=150, deadline=None)
@given(drawn=ways(), dollars=st.integers(1, 3_000_000), weights=cuts)
def test_no_other_division_of_a_purchase_takes_less(
    *, drawn: tuple[Desk, Way], dollars: int, weights: list[list[int]]
) -> None:
    desk, way = drawn
    amount = dollars * RAW[USDC]
    found = Broker(desk).buy(way, amount)
    singles = [desk.exact_out(path, amount) for path in way]
    if found is None:
        assert not any(singles)
        return
    assert sum(part.amount_out for part in found) == amount
    paid = sum(part.amount_in for part in found)
    others: list[int] = [one.amount_in for one in singles if one is not None]
    for one in weights:
        shares = cut(amount, one, len(way))
        quotes: list[SwapQuote | None] = [
            desk.exact_out(p, s) if s else None for p, s in zip(way, shares, strict=True)
        ]
        if all(q is not None or not s for q, s in zip(quotes, shares, strict=True)):
            others.append(sum(q.amount_in for q in quotes if q is not None))
    slack = SLACK if all(singles) else AT_THE_END
    assert paid <= min(others, default=paid) + 2 * len(way) + paid // slack


@settings(max_examples=150, deadline=None)
@given(
    drawn=ways(),
    dollars=st.integers(1, 3_000_000),
    before=st.lists(st.integers(1, 3_000_000), min_size=1, max_size=6),
)
def test_what_was_divided_before_does_no_harm(
    *, drawn: tuple[Desk, Way], dollars: int, before: list[int]
) -> None:
    desk, way = drawn
    broker = Broker(desk)
    for one in before:
        broker.sell(way, one * RAW[WBTC] // 60_000 + 1)
        broker.buy(way, one * RAW[USDC])
    amount = dollars * RAW[WBTC] // 60_000 + 1
    sold, afresh = broker.sell(way, amount), Broker(desk).sell(way, amount)
    assert (sold is None) == (afresh is None)
    if sold is not None and afresh is not None:
        assert sum(part.amount_in for part in sold) == amount
        brought, fresh = (sum(part.amount_out for part in parts) for parts in (sold, afresh))
        assert brought + 2 * len(way) * (1 + fresh // amount) + fresh // SLACK >= fresh
    bought, afresh = (
        broker.buy(way, dollars * RAW[USDC]),
        Broker(desk).buy(way, dollars * RAW[USDC]),
    )
    assert (bought is None) == (afresh is None)
    if bought is not None and afresh is not None:
        assert sum(part.amount_out for part in bought) == dollars * RAW[USDC]
        paid, fresh = (sum(part.amount_in for part in parts) for parts in (bought, afresh))
        assert paid <= fresh + 2 * len(way) + fresh // SLACK
