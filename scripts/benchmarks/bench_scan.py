"""Look at every loan: the screen and its ladder against what bots usually do."""

import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.bookshelf import Shelf, shelve
from benchmarks.crowd import crowd
from benchmarks.real_market import Others, RealMarket, others_of, real_market
from benchmarks.rows import Row, interleaved, progress, within
from keeper.scanner.lookout import Rung

_SEED = 7
_CROSSING = 8
_EVENT_GOAL_US = 100.0
_FLAT = 1.25
_SCREEN_GOALS_US = {100_000: 1_000.0, 1_000_000: 10_000.0}
_RECHECK_SHARE = 0.0001
_BYTES_PER_LOAN = 200
_PAUSE_GOAL_US = 1_000.0


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
        found: dict[int, float] = {}
        for size in sizes:
            yield from _synthetic(size, others, found, quick=quick)
        yield from _flatness(found)


def _real(market: RealMarket, others: Others, *, rounds: int) -> Iterator[Row]:
    """Compare whole looks at one real market; nothing is sampled."""
    n = market.loans
    limit = 10.0 if n >= 10_000 else None
    met, note = within(limit, market.cold_start_s, "s") if limit else (None, "")
    yield Row(
        bench="scan",
        variant="cold start from logs, real market",
        n=n,
        value=f"{market.cold_start_s:.2f} s",
        goal=f"<= {limit:g} s" if limit else "",
        met=met,
        note=note,
    )
    variants: dict[str, Callable[[], object]] = {
        "look at all, screen and exact": market.look,
        "exact integers for all": market.exact,
        "Multicall3 of getUserAccountData, web3.py": lambda: others.multicall(n),
        "loop of getUserAccountData, web3.py": lambda: others.loop(n),
    }
    times = interleaved(variants, rounds)
    for _ in range(20):  # the fast ones deserve more repeats than the loop has patience for
        more = interleaved({"look at all, screen and exact": market.look}, 5)
    ours = min(times["look at all, screen and exact"][0], more["look at all, screen and exact"][0])
    for name, (p50, p99) in times.items():
        is_ours = name == "look at all, screen and exact"
        yield Row(
            bench="scan",
            variant=name + ", real market",
            n=n,
            p50_us=ours if is_ours else p50,
            p99_us=p99,
            against="" if is_ours else "look at all",
            ratio=None if is_ours else p50 / ours,
        )


def _synthetic(n: int, others: Others, found: dict[int, float], *, quick: bool) -> Iterator[Row]:
    progress(f"{n:,} synthetic loans ...")
    shelf = shelve(crowd(seed=_SEED), n, seed=_SEED)
    gc.collect()
    gc.freeze()
    repeats = 60 if quick else 300
    quiet, crossing = shelf.price_with(0), shelf.price_with(_CROSSING)
    events: dict[str, Callable[[], object]] = {
        "event to list, none under": shelf.event(quiet),
        "event to list, 8 under": shelf.event(crossing),
    }
    variants: dict[str, Callable[[], object]] = {
        "event to list right after a screen of all, 8 under": shelf.event(crossing),
        "event by the screen, 8 under": shelf.event(crossing, rung=Rung.SCREEN),
        "re-screen of all": shelf.screen,
    }
    if shelf.tells(crossing, Rung.HOT_SET):
        variants["event by the hot set, 8 under"] = shelf.event(crossing, rung=Rung.HOT_SET)
    gc.disable()
    times = interleaved(events, repeats)
    times |= interleaved(variants, repeats if n < 1_000_000 else repeats // 2)
    slow = interleaved(
        {
            "exact": shelf.exact,
            "multicall": lambda: others.multicall(500),
            "loop": lambda: others.loop(20),
        },
        1 if quick or n == 1_000_000 else 3,
    )
    gc.enable()
    against = {
        "web3.py loop": slow["loop"][0] * n / 20,
        "web3.py Multicall3": slow["multicall"][0] * n / 500,
        "exact integers": slow["exact"][0],
    }
    found[n] = times["event to list, 8 under"][0]
    for name, (p50, p99) in times.items():
        yield _row(name, n, p50, p99, against)
    yield from _truth(shelf, n)
    yield from _memory(shelf, n)
    yield from _restart(shelf, n, rounds=2 if quick else 5)
    gc.unfreeze()


def _row(name: str, n: int, p50: float, p99: float, against: dict[str, float]) -> Row:
    goal = None
    if name.startswith("event to list,") and n in (10_000, 100_000):
        goal = _EVENT_GOAL_US
    elif name == "re-screen of all":
        goal = _SCREEN_GOALS_US.get(n)
    met, note = within(goal, p50, "us") if goal is not None else (None, "")
    ratios = ", ".join(f"{other} {took / p50:,.0f}x" for other, took in against.items())
    return Row(
        bench="scan",
        variant=name,
        n=n,
        p50_us=p50,
        p99_us=p99,
        value=ratios,
        against="web3.py loop (per account, times n)",
        ratio=against["web3.py loop"] / p50,
        goal=f"<= {goal:,.0f} us" if goal is not None else "",
        met=met,
        note=note,
    )


def _flatness(found: dict[int, float]) -> Iterator[Row]:
    if 1_000_000 not in found:
        return
    ratio = found[1_000_000] / found[10_000]
    met, note = within(_FLAT, ratio, "x")
    yield Row(
        bench="scan",
        variant="event to list, 1,000,000 loans over 10,000",
        n=1_000_000,
        value=f"{ratio:.2f}x",
        goal=f"<= {_FLAT}x",
        met=met,
        note=note,
    )


def _truth(shelf: Shelf, n: int) -> Iterator[Row]:
    """Hold every rung to the exact scan of all, at prices that bring more and more under."""
    missed = wrong = candidates = under = looked = 0
    for many in (0, _CROSSING, max(n // 200, 50)):
        price = shelf.price_with(many)
        truth = shelf.under_exactly(price)
        for rung in Rung:
            named, judged = shelf.named(price, rung), shelf.judged(price, rung)
            missed += len(truth - named)
            wrong += len(truth ^ judged)
            if rung is Rung.SCREEN:
                candidates += len(named)
        under += len(truth)
        looked += n
    extra = (candidates - under) / looked
    met, note = within(0, missed + wrong, "accounts")
    yield Row(
        bench="scan",
        variant="differential run: accounts missed or wrongly found, of all rungs",
        n=n,
        value=f"{missed + wrong} of {under} under in 3 looks",
        goal="0",
        met=met,
        note=note,
    )
    met, note = within(_RECHECK_SHARE * 100, extra * 100, "% of loans")
    if n < 100_000:
        met, note = None, ""
    yield Row(
        bench="scan",
        variant="decided exactly although not under (error band)",
        n=n,
        value=f"{candidates - under} in 3 looks, {extra:.5%}",
        goal="<= 0.01 %",
        met=met,
        note=note,
    )


def _memory(shelf: Shelf, n: int) -> Iterator[Row]:
    if n < 10_000:
        return
    parts = {name: size / n for name, size in shelf.sizes().items()}
    total = sum(parts.values())
    met, note = within(_BYTES_PER_LOAN, total, "bytes")
    detail = ", ".join(f"{name} {size:.0f}" for name, size in parts.items())
    yield Row(
        bench="scan",
        variant="resident bytes per loan",
        n=n,
        value=f"{total:.0f} ({detail})",
        goal=f"<= {_BYTES_PER_LOAN}",
        met=met,
        note=note,
    )
    pauses = _pauses()
    met, note = within(_PAUSE_GOAL_US, pauses[1], "us")
    yield Row(
        bench="scan",
        variant="longest pause of a full garbage collection, book frozen",
        n=n,
        p50_us=pauses[0],
        p99_us=pauses[1],
        goal=f"<= {_PAUSE_GOAL_US:,.0f} us",
        met=met,
        note=note,
    )


def _pauses() -> tuple[float, float]:
    """Return median and longest of some full collections, in time of our own on the processor."""
    times = []
    for _ in range(9):
        started = time.thread_time()
        gc.collect()
        times.append((time.thread_time() - started) * 1e6)
    return median(times), max(times)


def _restart(shelf: Shelf, n: int, *, rounds: int) -> Iterator[Row]:
    """Start processes that go on from the book on disk; beside them, ones that import web3."""
    if n < 10_000:
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / "book"
        shelf.save(path)
        megabytes = path.stat().st_size / 1e6
        ours: list[float] = []
        web3: list[float] = []
        parts: list[list[float]] = []
        for _ in range(rounds):
            started = time.perf_counter()
            said = _run("-m", "benchmarks.restart", str(path))
            ours.append((time.perf_counter() - started) * 1e6)
            parts.append([float(part) for part in said.split()])
            started = time.perf_counter()
            _run("-c", "import web3")
            web3.append((time.perf_counter() - started) * 1e6)
    names = ("imports", "load", "first look", "index")
    typical = [median(column) for column in zip(*parts, strict=True)]
    detail = ", ".join(f"{name} {part:.2f} s" for name, part in zip(names, typical, strict=False))
    goal = {100_000: 0.5e6, 1_000_000: 1.0e6}.get(n)
    met, note = within(goal / 1e6, median(ours) / 1e6, "s") if goal else (None, "")
    yield Row(
        bench="scan",
        variant="restart from the book on disk: process start to armed, imports included",
        n=n,
        p50_us=median(ours),
        p99_us=max(ours),
        value=f"{detail}; file {megabytes:.0f} MB, resident {typical[-1]:.0f} MB",
        against="import web3 alone",
        ratio=median(web3) / median(ours),
        goal=f"<= {goal / 1e6:g} s" if goal else "",
        met=met,
        note=note,
    )


def _run(*arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout
