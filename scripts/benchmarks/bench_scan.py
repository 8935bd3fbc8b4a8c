"""Look at every loan: the screen and its ladder against what bots usually do.

Those are ``getUserAccountData`` of each account in a loop and in Multicall3 batches, both through
web3.py. A real market is asked for all of its accounts, a large one in the loop for a tenth;
beside synthetic loans some are asked for, and the time is taken times their number. "Exact
integers" is deciding on every loan ourselves.
"""

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from benchmarks.bookshelf import Shelf, shelve
from benchmarks.crowd import Crowd, crowd
from benchmarks.crowd_morpho import crowd_morpho
from benchmarks.crowd_venus import crowd_venus
from benchmarks.machine import THERE, steadily, within_there
from benchmarks.real_market import Others, RealMarket, others_of, real_market
from benchmarks.rows import Row, interleaved, progress, within
from benchmarks.scan_checks import memory, pauses, restart, truth
from keeper.core.values import replace
from keeper.scanner.lookout import Rung

_SEED = 7
_CROSSING = 8
_EVENT_GOAL_US = 100.0
_FLAT = 1.25
_SCREEN_GOALS_US = {10_000: 1_000.0, 100_000: 1_000.0, 1_000_000: 10_000.0}
_COLD_START_GOAL_S = 10.0
_SAMPLE = 20
"""Accounts that web3.py is asked for in a loop; it is the same for each."""
_BATCH = 500

_LOOK = "look at all, screen and exact"
_EXACT = "exact integers"
_MULTICALL = "web3.py Multicall3"
_LOOP = "web3.py loop"
_EVENT = "price event to list, 8 under"

Variants = Mapping[str, Callable[[], object]]


def run(*, quick: bool) -> Iterator[Row]:
    """Yield the rows of all sizes, small ones first."""
    sizes = (1_000, 10_000) if quick else (1_000, 10_000, 100_000, 1_000_000)
    with ExitStack() as stack:
        progress("a real market of 1,000 borrowers on anvil ...")
        small = stack.enter_context(real_market(1_000))
        others = others_of(small)
        yield from _real(small, others, rounds=1 if quick else 3)
        if not quick:
            progress("a real market of 10,000 borrowers on anvil ...")
            with real_market(10_000) as large:
                yield from _real(large, others_of(large), rounds=1)
        ten = _shelf(crowd(seed=_SEED), 10_000)
        for size in sizes:
            shelf = ten if size == 10_000 else _shelf(crowd(seed=_SEED), size)
            yield from _aave(shelf, size, others, quick=quick)
            if size > 10_000:
                yield _flatness(ten, shelf, size)
            del shelf
        for made in (crowd_morpho(seed=_SEED), crowd_venus(seed=_SEED)):
            yield from _family(made, 1_000 if quick else 10_000, quick=quick)


def _real(market: RealMarket, others: Others, *, rounds: int) -> Iterator[Row]:
    """Compare whole looks at one real market, in turns; the loop may ask for a tenth."""
    n = market.loans
    share = 10 if n >= 10_000 else 1
    yield _cold_start(n, market.cold_start_s)
    variants: Variants = {
        _LOOK: market.look,
        _EXACT: market.exact,
        _MULTICALL: lambda: others.multicall(n),
        _LOOP: lambda: others.loop(n // share),
    }
    times = interleaved(variants, rounds, {_LOOK: 30, _EXACT: 5})
    times[_LOOP] = (times[_LOOP][0] * share, times[_LOOP][1] * share)
    against = {name: times[name][0] for name in (_LOOP, _MULTICALL, _EXACT)}
    yield _row(f"{_LOOK}, real market", n, times[_LOOK], against)
    for name in against:
        yield _row(f"{name}, real market", n, times[name], {})


def _cold_start(n: int, seconds: float) -> Row:
    met, note = within_there(_COLD_START_GOAL_S, seconds, "s") if n >= 10_000 else (None, "")
    return Row(
        bench="scan",
        variant="cold start from logs, real market",
        n=n,
        value=f"{seconds:.2f} s",
        goal=f"<= {_COLD_START_GOAL_S:g} s{THERE}" if n >= 10_000 else "",
        met=met,
        note=note,
    )


def _aave(shelf: Shelf[Any, Any], n: int, others: Others, *, quick: bool) -> Iterator[Row]:
    """Measure the ladder at one size."""
    large = n >= 1_000_000
    times, machine = _ladder(shelf, 60 if quick else 150 if large else 300)
    slow = interleaved(
        {
            _EXACT: shelf.exact,
            _MULTICALL: lambda: others.multicall(_BATCH),
            _LOOP: lambda: others.loop(_SAMPLE),
        },
        1 if quick or large else 3,
        {_MULTICALL: 3, _LOOP: 3},
    )
    against = {
        _LOOP: slow[_LOOP][0] * n / _SAMPLE,
        _MULTICALL: slow[_MULTICALL][0] * n / _BATCH,
        _EXACT: slow[_EXACT][0],
    }
    yield from _rows("Aave V3", n, times, against, machine)
    yield from truth(shelf, "Aave V3", n, _CROSSING)
    if n >= 10_000:
        yield memory(shelf, "Aave V3", n)
        yield pauses(shelf, n)
        yield restart(shelf, n, rounds=1 if quick else 3)


def _family(made: Crowd[Any, Any], n: int, *, quick: bool) -> Iterator[Row]:
    """Measure the ladder of another protocol."""
    shelf = _shelf(made, n)
    times, machine = _ladder(shelf, 60 if quick else 300)
    exact = interleaved({_EXACT: shelf.exact}, 1 if quick else 3)[_EXACT]
    yield from _rows(made.name, n, times, {_EXACT: exact[0]}, machine)
    yield from truth(shelf, made.name, n, _CROSSING)
    yield memory(shelf, made.name, n)


def _shelf(made: Crowd[Any, Any], n: int) -> Shelf[Any, Any]:
    progress(f"{made.name}: {n:,} synthetic loans ...")
    return shelve(made, n, seed=_SEED)


def _ladder(shelf: Shelf[Any, Any], repeats: int) -> tuple[dict[str, tuple[float, float]], float]:
    """Ask every rung in turns. The first two by themselves, as events come between blocks.

    Return the times, and how slow the machine was meanwhile.
    """
    quiet, crossing = shelf.price_with(0), shelf.price_with(_CROSSING)
    events: Variants = {
        "price event to list, none under": shelf.event(quiet),
        _EVENT: shelf.event(crossing),
    }
    rungs: dict[str, Callable[[], object]] = {
        "price event to list right after a screen of all": shelf.event(crossing),
        "price event by the screen of all": shelf.event(crossing, rung=Rung.SCREEN),
        "screen of all at new prices": shelf.screen,
    }
    if shelf.tells(crossing, Rung.HOT_SET):
        rungs["price event by the hot set"] = shelf.event(crossing, rung=Rung.HOT_SET)
    gc.collect()
    gc.freeze()
    gc.disable()
    found = steadily(lambda: interleaved(events, repeats) | interleaved(rungs, repeats))
    gc.enable()
    gc.unfreeze()
    return found


def _rows(
    name: str,
    n: int,
    times: Mapping[str, tuple[float, float]],
    against: Mapping[str, float],
    machine: float,
) -> Iterator[Row]:
    for variant, (p50, p99) in times.items():
        goal = None
        if variant.startswith("price event to list,") and n in (10_000, 100_000):
            goal = _EVENT_GOAL_US
        elif variant == "screen of all at new prices":
            goal = _SCREEN_GOALS_US.get(n)
        row = _row(f"{name}: {variant}", n, (p50, p99), against, goal)
        yield replace(row, machine=machine)


def _row(
    variant: str,
    n: int,
    times: tuple[float, float],
    against: Mapping[str, float],
    goal_us: float | None = None,
) -> Row:
    """Return a row held against the first of the others; the ratios to the rest are told."""
    p50, p99 = times
    first, *rest = against or ("",)
    met, note = within_there(goal_us, p50, "us") if goal_us is not None else (None, "")
    return Row(
        bench="scan",
        variant=variant,
        n=n,
        p50_us=p50,
        p99_us=p99,
        value="; ".join(f"{against[other] / p50:,.0f}x {other}" for other in rest),
        against=first,
        ratio=against[first] / p50 if first else None,
        goal=f"<= {goal_us:,.0f} us{THERE}" if goal_us is not None else "",
        met=met,
        note=note,
    )


def _flatness(few: Shelf[Any, Any], many: Shelf[Any, Any], n: int) -> Row:
    """Ask 10,000 loans and more about the same event in turns."""
    variants: Variants = {
        "few": few.event(few.price_with(_CROSSING)),
        "many": many.event(many.price_with(_CROSSING)),
    }
    gc.collect()
    gc.freeze()
    gc.disable()
    times, machine = steadily(lambda: interleaved(variants, 500))
    gc.enable()
    gc.unfreeze()
    ratio = times["many"][0] / times["few"][0]
    met, note = within(_FLAT, ratio, "x")
    return Row(
        bench="scan",
        variant=f"Aave V3: {_EVENT}, in turns with 10,000 loans",
        n=n,
        p50_us=times["many"][0],
        p99_us=times["many"][1],
        value=f"{ratio:.2f}x of {times['few'][0]:.1f} us",
        against="10,000 loans",
        ratio=times["few"][0] / times["many"][0],
        goal=f"<= {_FLAT}x",
        met=met,
        note=note,
        machine=machine,
    )
