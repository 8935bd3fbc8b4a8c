"""Start the daemon as its operator does, from a book on disk: how long until loans are watched.

The market is a real Aave V3 on anvil; in the book, besides its own loans, are many synthetic ones.
Timed is ``keeper run`` as a process, from its start to the line of its log that says that it has
looked at all of them: interpreter, imports, configuration, connections, checks, book, index.
"""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.children import compiled
from benchmarks.children import run as run_python
from benchmarks.ladder import Ladder, ladder
from benchmarks.machine import THERE, steadily, within_there
from benchmarks.rows import Row, progress
from benchmarks.tick_crowd import DEPLOYMENT, write_book
from keeper.app.log_observer import BLOCK_SCANNED
from keeper.core.values import replace

_GOALS_S = {100_000: 0.5, 1_000_000: 1.0}


def run(*, quick: bool) -> Iterator[Row]:
    """Yield a row for each size."""
    progress("a real market on anvil ...")
    with ladder(1) as steps, compiled() as environment:
        for size in (10_000,) if quick else (100_000, 1_000_000):
            yield _restart(steps, environment, size, rounds=3 if quick else 7)


def _restart(steps: Ladder, environment: Mapping[str, str], n: int, *, rounds: int) -> Row:
    """Start it again and again, beside processes that import web3."""
    with tempfile.TemporaryDirectory() as name:
        folder, book = Path(name), Path(name) / "book"
        progress(f"a book of {n:,} loans ...")
        asyncio.run(write_book(steps, book, n))
        config = steps.config(folder, rpc=str(steps.anvil.ipc_path), prearm=0)

        def start() -> float:
            shutil.copy(book, folder / f"keeper.sqlite.{DEPLOYMENT}.book")
            return _started(config, environment, n)

        start(), _imported(environment)  # the first ones compile
        found, machine = steadily(
            lambda: [(start(), _imported(environment)) for _ in range(rounds)]
        )
    ours, others = zip(*found, strict=True)
    return replace(_row(n, ours, median(others)), machine=machine)


def _row(n: int, took: Sequence[float], other: float) -> Row:
    goal = _GOALS_S.get(n)
    met, note = within_there(goal, median(took), "s") if goal else (None, "")
    return Row(
        bench="restart",
        variant="keeper run, from its start until all loans of the book on disk are watched",
        n=n,
        p50_us=median(took) * 1e6,
        p99_us=max(took) * 1e6,
        against="import web3 alone",
        ratio=other / median(took),
        goal=f"<= {goal:g} s{THERE}" if goal else "",
        met=met,
        note=note,
    )


def _started(config: Path, environment: Mapping[str, str], n: int) -> float:
    """Return how many seconds a keeper took until it watched all loans."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "keeper", "run", "-c", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as keeper:  # noqa: S603 - ourselves
        lines = []
        for line in keeper.stderr or ():
            lines.append(line)
            if f'"event": "{BLOCK_SCANNED}"' in line:
                took = time.perf_counter() - started
                if json.loads(line)["accounts"] < n:
                    raise AssertionError(line)
                keeper.send_signal(signal.SIGKILL)
                return took
    raise AssertionError("".join(lines))


def _imported(environment: Mapping[str, str]) -> float:
    started = time.perf_counter()
    run_python(environment, "-c", "import web3")
    return time.perf_counter() - started
