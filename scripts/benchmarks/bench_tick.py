"""Tick to send: from the first byte of a price event to the return of the write that sends.

A real Aave V3 on anvil, a keeper as ``keeper run`` wires it (policy, rehearsal, journal), and real
liquidations, one a tick, each of which must land. The larger books are the real one with synthetic
loans beside it, none near the line: they are in the mirror, the screen and the trigger index, and
on no chain. Prices come from a process of their own. What else is measured, is measured between the
ticks of the same run: an echo of fixed bytes on a socket of the same kind, drilled as often as the
keeper is; one signature of coincurve, after a pause like that before a tick; and what a bot with
web3.py does.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

import uvloop

from benchmarks.ladder import Ladder, ladder
from benchmarks.rows import Row, progress, quantile, within
from benchmarks.tick_run import Plan, Run, measure
from keeper.core.tick import STAGES, Rung, Tick

_US = 1e3
_GOALS_US = {
    Rung.PREARMED: (50.0, 200.0),
    Rung.PREPARED: (100.0, 300.0),
    Rung.PLANNED: (1_000.0, 5_000.0),
}
_FLAT = 1.25
_ECHO_SHARE = 1.3
_SIGN_SHARE = (2.5, 6.0)
_BURST_US = 100.0

_PUBLISHED = (
    ("morpho-blue-liquidation-bot as shipped, 1,000 positions: price drop to sent", 2_215_000.0),
    ("the same, from the block seen to sent", 34_000.0),
)
"""Median figures measured elsewhere and not in this run, microseconds."""


@dataclass(slots=True)
class _Found:
    """What was measured of each rung, by size and transport."""

    totals: dict[tuple[Rung, str, int], list[float]] = field(default_factory=dict)


def run(*, quick: bool) -> Iterator[Row]:
    """Yield the rows of all transports and sizes, small ones first."""
    sizes = (0, 10_000) if quick else (0, 10_000, 100_000, 1_000_000)
    ticks = 16 if quick else 20
    burst = 50 if quick else 200
    found = _Found()
    many = len(sizes) * 2 * (2 * ticks + ticks // 6 + 1) + burst + 50
    progress(f"a real market with a ladder of {many:,} borrowers on anvil ...")
    with ladder(many) as steps:
        for size in sizes:
            for transport in ("ipc", "ws"):
                progress(f"{size:,} synthetic loans, {transport} ...")
                yield from _measured(steps, size, transport, ticks, found)
        progress(f"a burst of {burst} ...")
        yield from _burst(steps, burst)
    yield from _flatness(found, sizes[1:])
    yield from _published(found, sizes[-1])


def _measured(steps: Ladder, size: int, transport: str, ticks: int, found: _Found) -> Iterator[Row]:
    plan = Plan(crowd=size, transport=transport, ticks=ticks)
    done = uvloop.run(measure(steps, plan))
    n = done.loans
    by_rung: defaultdict[Rung, list[Tick]] = defaultdict(list)
    for tick in done.ticks:
        by_rung[tick.rung].append(tick)
    for rung, some in sorted(by_rung.items()):
        totals = [one.total_ns / _US for one in some]
        found.totals[rung, transport, size] = totals
        yield from _rung(rung, transport, n, totals)
        yield from _stages(rung, transport, n, some)
        yield from _ratios(rung, transport, n, totals, done)
    yield _landed(transport, n, done)


def _rung(rung: Rung, transport: str, n: int, totals: Sequence[float]) -> Iterator[Row]:
    p50, p99 = median(totals), quantile(totals, 0.99)
    for name, goal, value in zip(("p50", "p99"), _GOALS_US[rung], (p50, p99), strict=True):
        met, note = within(goal, value, "us")
        yield Row(
            bench="tick",
            variant=f"{rung} over {transport}, {name} of {len(totals)} ticks",
            n=n,
            p50_us=p50,
            p99_us=p99,
            goal=f"{name} <= {goal:,.0f} us",
            met=met,
            note=note,
        )


def _stages(rung: Rung, transport: str, n: int, ticks: Sequence[Tick]) -> Iterator[Row]:
    spans: defaultdict[str, list[float]] = defaultdict(list)
    for tick in ticks:
        for stage, took_ns in tick.spans_ns():
            spans[stage].append(took_ns / _US)
    for stage in STAGES:
        if took := spans.get(stage):
            yield Row(
                bench="tick",
                variant=f"  {stage} ({rung}, {transport})",
                n=n,
                p50_us=median(took),
                p99_us=quantile(took, 0.99),
            )


def _ratios(
    rung: Rung, transport: str, n: int, totals: Sequence[float], done: Run
) -> Iterator[Row]:
    """Hold a rung to what was measured between its ticks."""
    p50 = median(totals)
    if rung is Rung.PREARMED and done.echo_us:
        echo = median(done.echo_us)
        met, note = within(_ECHO_SHARE, p50 / echo, "x")
        yield Row(
            bench="tick",
            variant=f"{rung} over {transport} against an echo of fixed bytes",
            n=n,
            p50_us=echo,
            p99_us=quantile(done.echo_us, 0.99),
            value=f"{p50 / echo:.2f}x the echo",
            goal=f"<= {_ECHO_SHARE}x",
            met=met,
            note=note,
        )
    if rung is Rung.PREPARED:
        sign = median(done.sign_us)
        for name, goal, value in (
            ("p50", _SIGN_SHARE[0], p50 / sign),
            ("p99", _SIGN_SHARE[1], quantile(totals, 0.99) / sign),
        ):
            met, note = within(goal, value, "x")
            yield Row(
                bench="tick",
                variant=f"{rung} over {transport} against one signature of coincurve, {name}",
                n=n,
                p50_us=sign,
                p99_us=quantile(done.sign_us, 0.99),
                value=f"{value:.2f}x the signature",
                goal=f"<= {goal}x",
                met=met,
                note=note,
            )
    for name, took in (*done.others.items(),):
        yield Row(
            bench="tick",
            variant=f"{name}, against {rung} over {transport}",
            n=n,
            p50_us=median(took),
            p99_us=quantile(took, 0.99),
            against=f"{rung}, same run",
            ratio=median(took) / p50,
        )


def _landed(transport: str, n: int, done: Run) -> Row:
    met, note = within(0, done.sent - done.landed, "liquidations that did not land")
    return Row(
        bench="tick",
        variant=f"liquidations of the real market that landed, {transport}",
        n=n,
        value=f"{done.landed} of {done.sent}",
        goal="all",
        met=met,
        note=note,
    )


def _burst(steps: Ladder, many: int) -> Iterator[Row]:
    plan = Plan(crowd=0, transport="ipc", ticks=0, burst=many)
    done = uvloop.run(measure(steps, plan))
    each = done.burst_us / many
    met, note = within(_BURST_US, each, "us")
    yield Row(
        bench="tick",
        variant=f"burst of {many} in one tick over ipc, each",
        n=done.loans,
        value=f"{each:,.1f} us each, {done.burst_us / 1_000:,.2f} ms in all",
        goal=f"<= {_BURST_US:.0f} us each",
        met=met,
        note=note,
    )
    met, note = within(0, many - done.burst_first, "not in the first block")
    yield Row(
        bench="tick",
        variant=f"burst of {many}: in the first block",
        n=done.loans,
        value=f"{done.burst_first} of {many}",
        goal="all",
        met=met,
        note=note,
    )


def _published(found: _Found, size: int) -> Iterator[Row]:
    """Hold every rung at the largest size to the pace of a public bot."""
    for rung in Rung:
        totals = found.totals.get((rung, "ipc", size))
        for name, took_us in _PUBLISHED if totals else ():
            yield Row(
                bench="tick",
                variant=f"{name}; published, not of this run",
                n=1_000,
                p50_us=took_us,
                against=f"{rung} over ipc, {size:,} synthetic loans",
                ratio=took_us / median(totals or (1.0,)),
            )


def _flatness(found: _Found, sizes: Sequence[int]) -> Iterator[Row]:
    low, high = sizes[0], sizes[-1]
    for rung in Rung:
        for transport in ("ipc", "ws"):
            few = found.totals.get((rung, transport, low))
            most = found.totals.get((rung, transport, high))
            if not few or not most or low == high:
                continue
            ratio = median(most) / median(few)
            met, note = within(_FLAT, ratio, "x")
            yield Row(
                bench="tick",
                variant=f"{rung} over {transport}: {high:,} loans over {low:,}",
                n=high,
                value=f"{ratio:.2f}x",
                goal=f"<= {_FLAT}x",
                met=met,
                note=note,
            )
