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
from benchmarks.machine import THERE, against_that_of_the_goals
from benchmarks.rows import Row, at_least, progress, quantile, within
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
_AWAY_MS = 5.0
"""How far away, in each direction, a node is made to be that is not on the same machine."""
_FAR_TICKS = 10

_CHAIN_SHARE = 0.02
"""Of the time from the write of a price transaction to the log of the liquidation."""
_LANDED = 450
_SEEN, _DROPPED = 57_000.0, 1_980_000.0
"""Of a public bot, Morpho's own ``morpho-blue-liquidation-bot``, published and not measured here:
it is in no package registry. Medians in microseconds with 5,000 positions, from a block seen to the
transaction sent, and from a price drop to that, as shipped: it asks every four seconds."""
_BOT, _BOT_POSITIONS = "morpho-blue-liquidation-bot, published", 5_000
_SEEN_TIMES, _DROPPED_TIMES = 300.0, 200.0


@dataclass(slots=True)
class _Found:
    """What was measured of each rung, by size and transport."""

    totals: dict[tuple[Rung, str, int], list[float]] = field(default_factory=dict)
    on_chain: dict[tuple[Rung, str, int], list[float]] = field(default_factory=dict)
    """From the write of the price transaction to the log of the liquidation, microseconds."""
    slow: dict[tuple[str, int], float] = field(default_factory=dict)
    """How many times slower than that of the goals the machine was, by transport and size."""
    sent: int = 0
    landed: int = 0


def run(*, quick: bool) -> Iterator[Row]:
    """Yield the rows of all transports and sizes, small ones first."""
    sizes = (0, 10_000) if quick else (0, 10_000, 100_000, 1_000_000)
    ticks = 16 if quick else 20
    burst = 50 if quick else 200
    found = _Found()
    for size in sizes:
        yield from _of_size(size, ticks, found)
    progress(f"a node {_AWAY_MS:.0f} ms away ...")
    yield from _far(sizes[1], _FAR_TICKS, found)
    progress(f"a burst of {burst} ...")
    yield from _burst(burst, found)
    yield _all_landed(found, quick=quick)
    yield from _flatness(found, sizes[1:])
    yield from _published(found, sizes[-1])


def _of_size(size: int, ticks: int, found: _Found) -> Iterator[Row]:
    """Yield the rows of both transports, on the same market: the book on disk is of its chain."""
    plans = [Plan(crowd=size, transport=transport, ticks=ticks) for transport in ("ipc", "ws")]
    with ladder(plans[0].rungs) as steps:
        for plan in plans:
            progress(f"{size:,} synthetic loans, {plan.transport} ...")
            with steps.left_as_it_is():
                done = _run(steps, plan, found)
            yield from _measured(plan, done, found)


def _run(steps: Ladder, plan: Plan, found: _Found) -> Run:
    before = against_that_of_the_goals()
    done = uvloop.run(measure(steps, plan))
    found.slow[plan.transport, plan.crowd] = min(before, against_that_of_the_goals())
    found.sent, found.landed = found.sent + done.sent, found.landed + done.landed
    return done


def _run_alone(plan: Plan, found: _Found) -> Run:
    """Run a plan on a market of its own: how long a block takes anvil grows with its state."""
    with ladder(plan.rungs) as steps:
        return _run(steps, plan, found)


def _measured(plan: Plan, done: Run, found: _Found) -> Iterator[Row]:
    size, transport = plan.crowd, plan.transport
    n = done.loans
    by_rung: defaultdict[Rung, list[Tick]] = defaultdict(list)
    for tick in done.ticks:
        by_rung[tick.rung].append(tick)
    for rung, some in sorted(by_rung.items()):
        totals = [one.total_ns / _US for one in some]
        found.totals[rung, transport, size] = totals
        yield from _rung(rung, transport, n, totals, found.slow[transport, size])
        yield from _stages(rung, transport, n, some)
        yield from _ratios(rung, transport, n, totals, done)
        whole = [(tick.total_ns / _US, us) for tick, us in done.on_chain if tick.rung is rung]
        if whole:
            found.on_chain[rung, transport, size] = [us for _, us in whole]
            yield _share(rung, transport, n, whole)
    yield _landed(transport, n, done)


def _rung(
    rung: Rung, transport: str, n: int, totals: Sequence[float], slow: float
) -> Iterator[Row]:
    p50, p99 = median(totals), quantile(totals, 0.99)
    for name, goal, value in zip(("p50", "p99"), _GOALS_US[rung], (p50, p99), strict=True):
        met, note = within(goal, value / slow, "us there")
        yield Row(
            bench="tick",
            variant=f"{rung} over {transport}, {name} of {len(totals)} ticks",
            n=n,
            p50_us=p50,
            p99_us=p99,
            goal=f"{name} <= {goal:,.0f} us{THERE}",
            met=met,
            note=note,
            machine=slow,
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


def _share(rung: Rung, transport: str, n: int, whole: Sequence[tuple[float, float]]) -> Row:
    """Return how much of the way from price to liquidation is the keeper's."""
    share, times = median(own / us for own, us in whole), [us for _, us in whole]
    met, note = within(_CHAIN_SHARE, share, "of the whole")
    return Row(
        bench="tick",
        variant=f"{rung} over {transport}, from the price transaction to the liquidation's log",
        n=n,
        p50_us=median(times),
        p99_us=quantile(times, 0.99),
        value=f"{share:.1%} of it is the keeper's",
        goal=f"<= {_CHAIN_SHARE:.0%}",
        met=met,
        note=note,
    )


def _all_landed(found: _Found, *, quick: bool) -> Row:
    """Hold all liquidations of the run to one figure."""
    missed = max(found.sent - found.landed, 0)  # a burst's price may bring more under than asked
    return Row(
        bench="tick",
        variant="liquidations of the real market that landed, in all",
        n=found.sent,
        value=f"{found.landed} of {found.sent}",
        goal="all" if quick else f"all of >= {_LANDED}",
        met=not missed and (quick or found.landed >= _LANDED),
        note=f"{missed} did not land",
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


def _far(size: int, ticks: int, found: _Found) -> Iterator[Row]:
    """Yield what each rung takes where the node is not on this machine."""
    plan = Plan(crowd=size, transport="ws", ticks=ticks, planned_every=1, away_ms=_AWAY_MS)
    done = _run_alone(plan, found)
    for rung in Rung:
        totals = [one.total_ns / _US for one in done.ticks if one.rung is rung]
        yield Row(
            bench="tick",
            variant=f"{rung} over ws, the node {_AWAY_MS:.0f} ms away",
            n=done.loans,
            p50_us=median(totals),
            p99_us=quantile(totals, 0.99),
            value=f"{median(totals) / (2 * _AWAY_MS * _US):.2f} times there and back",
        )


def _burst(many: int, found: _Found) -> Iterator[Row]:
    done = _run_alone(Plan(crowd=0, transport="ipc", ticks=0, burst=many), found)
    each, slow = done.burst_us / many, found.slow["ipc", 0]
    met, note = within(_BURST_US, each / slow, "us there")
    yield Row(
        bench="tick",
        variant=f"burst of {many} in one tick over ipc, each",
        n=done.loans,
        value=f"{each:,.1f} us each, {done.burst_us / 1_000:,.2f} ms in all",
        goal=f"<= {_BURST_US:.0f} us each{THERE}",
        met=met,
        note=note,
        machine=slow,
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
    """Hold every rung at the largest size to the pace of a public bot with far fewer positions.

    That was measured on the machine that the goals are of.
    """
    slow = found.slow["ipc", size]
    for rung in Rung:
        key = (rung, "ipc", size)
        if key in found.totals:
            ours = median(found.totals[key]) / slow
            yield _against(rung, size, "block seen to sent", _SEEN, ours, _SEEN_TIMES)
        if key in found.on_chain:
            ours = median(found.on_chain[key]) / slow
            what = "price drop to sent; ours is to the liquidation's log"
            yield _against(rung, size, what, _DROPPED, ours, _DROPPED_TIMES)


def _against(rung: Rung, size: int, what: str, theirs: float, ours: float, goal: float) -> Row:
    met, note = at_least(goal, theirs / ours, "x")
    return Row(
        bench="tick",
        variant=f"{_BOT}, {_BOT_POSITIONS:,} positions: {what}",
        n=size,
        p50_us=theirs,
        against=f"{rung} over ipc, {size:,} synthetic loans",
        ratio=theirs / ours,
        goal=f">= {goal:.0f}x{THERE}",
        met=met,
        note=note,
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
