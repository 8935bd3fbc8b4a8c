"""What a benchmark says: one row per variant and size, with its goal and whether it was met."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A measured variant. ``ratio`` is how many times slower what it is held against was."""

    bench: str
    variant: str
    n: int
    p50_us: float | None = None
    p99_us: float | None = None
    value: str = ""
    """What was measured when that is not a time, or of what the time is made."""
    against: str = ""
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None
    note: str = ""
    machine: float | None = None
    """How many times its fastest time the machine took for a fixed piece of work beside it."""


_COLUMNS = (
    *("bench", "variant", "n", "p50", "p99", "measured", "against", "ratio", "goal", "met"),
    "machine",
)


def progress(text: str) -> None:
    """Say on stderr what is being done."""
    print(f"  {text}", file=sys.stderr, flush=True)


def show(rows: Sequence[Row], *, as_json: bool) -> None:
    """Print rows as a table, or as one JSON object a line."""
    if as_json:
        for row in rows:
            print(json.dumps({key: getattr(row, key) for key in Row.__slots__}), flush=True)
        return
    table = Table(title_justify="left")
    for name in _COLUMNS:
        left = name in ("bench", "variant", "goal", "measured")
        table.add_column(name, justify="left" if left else "right")
    for row in rows:
        table.add_row(*_cells(row))
    Console(width=200 if not sys.stdout.isatty() else None).print(table)
    for row in rows:
        if row.met is False:
            print(f"goal not met: {row.bench} {row.variant} n={row.n:,}: {row.goal}; {row.note}")


def _cells(row: Row) -> list[str]:
    return [
        row.bench,
        row.variant,
        f"{row.n:,}",
        _time(row.p50_us),
        _time(row.p99_us),
        row.value,
        row.against,
        "" if row.ratio is None else f"{row.ratio:,.1f}x",
        row.goal,
        {None: "", True: "yes", False: f"NO: {row.note}"}[row.met],
        "" if row.machine is None else f"{row.machine:.2f}x",
    ]


def _time(us: float | None) -> str:
    if us is None:
        return ""
    return f"{us:,.1f} us" if us < 10_000 else f"{us / 1_000:,.1f} ms"


def interleaved(
    variants: Mapping[str, Callable[[], object]],
    rounds: int,
    often: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, tuple[float, float]]:
    """Run variants in turn; return p50 and p99 of each in microseconds.

    ``often`` says which are run more than once in each turn: quick ones, beside slow ones.
    """
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            for _ in range(often.get(name, 1)):
                started = time.perf_counter()
                run()
                times[name].append((time.perf_counter() - started) * 1e6)
    return {name: (median(found), quantile(found, 0.99)) for name, found in times.items()}


def quantile(times: Sequence[float], share: float) -> float:
    """Return the time that ``share`` of all do not exceed."""
    return sorted(times)[min(int(len(times) * share), len(times) - 1)]


def within(limit: float, found: float, unit: str) -> tuple[bool, str]:
    """Return whether a goal was met, and by how much it was not."""
    if found <= limit:
        return True, ""
    return False, f"found {found:,.3f} {unit}, {_share(found, limit):,.3f} times the goal"


def _share(found: float, limit: float) -> float:
    return found / limit if limit else float("inf")


def at_least(limit: float, found: float, unit: str) -> tuple[bool, str]:
    """Return whether a goal was met, and by how much it was not."""
    if found >= limit:
        return True, ""
    return False, f"found {found:,.1f}{unit}, {found / limit:,.2f} of the goal"
