"""Whether what is fast is right, small and never stops: the rows beside the times of a scan."""

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.bookshelf import Shelf
from benchmarks.children import compiled, run
from benchmarks.machine import THERE, steadily, within_there
from benchmarks.rows import Row, interleaved, within
from keeper.runtime.garbage import keep_for_good, sweep
from keeper.scanner.lookout import Rung

_RECHECK_SHARE = 0.0001
_BYTES_PER_LOAN = 200
_BYTES_OF_MANY = 160
"""From 100,000 loans on, where what does not grow with them no longer counts."""
_PAUSE_GOAL_US = 1_000.0
_RESTART_GOALS_S = {100_000: 0.5, 1_000_000: 1.0}
_BLOCKS = 12
_TOUCHED = 20


def truth(shelf: Shelf[Any, Any], name: str, n: int, crossing: int) -> Iterator[Row]:
    """Hold every rung to the exact scan of all, at prices that bring more and more under."""
    missed = wrong = candidates = under = looked = 0
    for many in (0, crossing, max(n // 200, 50)):
        price = shelf.price_with(many)
        exactly = shelf.under_exactly(price)
        for rung in Rung:
            named, judged = shelf.named(price, rung), shelf.judged(price, rung)
            missed += len(exactly - named)
            wrong += len(exactly ^ judged)
            if rung is Rung.SCREEN:
                candidates += len(named)
        under += len(exactly)
        looked += n
    met, note = within(0, missed + wrong, "accounts")
    yield Row(
        bench="scan",
        variant=f"{name}: accounts missed or wrongly found, of all rungs",
        n=n,
        value=f"{missed + wrong} of {under} under in 3 looks",
        against="exact integers for all",
        goal="0",
        met=met,
        note=note,
    )
    if n >= 100_000:
        yield _band(n, candidates - under, (candidates - under) / looked)


def _band(n: int, extra: int, share: float) -> Row:
    met, note = within(_RECHECK_SHARE * 100, share * 100, "% of loans")
    return Row(
        bench="scan",
        variant="decided exactly although not under (error band)",
        n=n,
        value=f"{extra} in 3 looks, {share:.5%}",
        against="all loans",
        goal="<= 0.01 %",
        met=met,
        note=note,
    )


def memory(shelf: Shelf[Any, Any], name: str, n: int) -> Row:
    """Say what stays resident."""
    parts = {part: size / n for part, size in shelf.sizes().items()}
    total = sum(parts.values())
    goal = _BYTES_OF_MANY if n >= 100_000 else _BYTES_PER_LOAN
    met, note = within(goal, total, "bytes")
    detail = ", ".join(f"{part} {size:.0f}" for part, size in parts.items())
    return Row(
        bench="scan",
        variant=f"{name}: resident bytes per loan",
        n=n,
        value=f"{total:.0f} ({detail})",
        goal=f"<= {goal}",
        met=met,
        note=note,
    )


def pauses(shelf: Shelf[Any, Any], n: int) -> Row:
    """Pass blocks as the daemon does and say how long Python looked for garbage at a time.

    In time of our own on the processor. The sweep at a checkpoint is counted like any other.
    """
    found: list[float] = []
    begun = [0.0]

    def note_pause(phase: str, _info: object) -> None:
        if phase == "start":
            begun[0] = time.thread_time()
        else:
            found.append((time.thread_time() - begun[0]) * 1e6)

    before = gc.get_threshold()
    keep_for_good()
    gc.callbacks.append(note_pause)
    for _ in range(_BLOCKS):
        shelf.pass_block(_TOUCHED)
    sweep()
    gc.callbacks.remove(note_pause)
    gc.set_threshold(*before)
    gc.unfreeze()
    shelf.come_to_rest()
    met, note = within_there(_PAUSE_GOAL_US, max(found), "us")
    return Row(
        bench="scan",
        variant=f"longest garbage collection in {_BLOCKS} blocks and a sweep",
        n=n,
        p50_us=median(found),
        p99_us=max(found),
        value=f"{len(found)} collections",
        goal=f"<= {_PAUSE_GOAL_US:,.0f} us{THERE}",
        met=met,
        note=note,
    )


def restart(shelf: Shelf[Any, Any], n: int, *, rounds: int) -> Row:
    """Start processes that go on from the book on disk; beside them, ones that import web3."""
    with TemporaryDirectory() as folder, compiled() as environment:
        path = Path(folder) / "book"
        shelf.save(path)
        said: list[str] = []
        book = ("-m", "benchmarks.restart", str(path))
        variants: Mapping[str, Callable[[], object]] = {
            "watching": lambda: said.append(run(environment, *book)),
            "web3": lambda: run(environment, "-c", "import web3"),
        }
        for start in variants.values():  # the first one compiles
            start()
        said.clear()
        times, machine = steadily(lambda: interleaved(variants, rounds))
        megabytes = path.stat().st_size / 1e6
    goal = _RESTART_GOALS_S.get(n)
    seconds = times["watching"][0] / 1e6
    met, note = within_there(goal, seconds, "s") if goal else (None, "")
    return Row(
        bench="scan",
        variant="restart from the book on disk, imports of the watching part included",
        n=n,
        p50_us=times["watching"][0],
        p99_us=times["watching"][1],
        value=f"{_parts(said)}; file {megabytes:.0f} MB",
        against="import web3 alone",
        ratio=times["web3"][0] / times["watching"][0],
        goal=f"<= {goal:g} s{THERE}" if goal else "",
        met=met,
        note=note,
        machine=machine,
    )


def _parts(said: list[str]) -> str:
    names = ("imports", "load", "first look", "index")
    columns = zip(*([float(part) for part in line.split()] for line in said), strict=True)
    typical = [median(column) for column in columns]
    detail = ", ".join(f"{name} {part:.2f} s" for name, part in zip(names, typical, strict=False))
    return f"{detail}; resident {typical[-1]:.0f} MB"
