"""How fast the machine is just now: a fixed piece of work, timed beside what is measured.

A shared machine takes once or twice the time for the same work, for minutes at a time. A figure of
such minutes says nothing of the program: it is measured again, and each says how slow it was.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Final, TypeVar

from coincurve import PrivateKey

from benchmarks.rows import at_least, progress, within

T = TypeVar("T")

_STEPS: Final = 300_000
"""Enough for others on the same processor to be felt."""
_TIMES: Final = 7
_FIRST: Final = 50
_SLOW: Final = 1.3
"""Against the fastest seen: what is measured beside that is measured again."""
_ROUNDS: Final = 5
_PAUSE_S: Final = 5.0

_GOALS_SIGNATURE_US: Final = 25.8
"""One of coincurve, again and again, on the machine that goals in seconds are of."""
_SIGNATURES: Final = 200

THERE: Final = " on the goals' machine"
"""Stands behind each goal that is a time, in its words."""

_fastest: list[float] = []
"""Holds the fastest time seen in this process, seconds."""


def steadily(measure: Callable[[], T]) -> tuple[T, float]:
    """Measure, again while the machine is slow; return what it was slow least for, and how slow.

    That is the slower of two looks, before and after, as a multiple of the fastest time seen.
    """
    kept: tuple[T, float] | None = None
    for left in reversed(range(_ROUNDS)):
        before = slowness()
        found = measure()
        slow = max(before, slowness())
        if kept is None or slow < kept[1]:
            kept = found, slow
        if slow <= _SLOW or not left:
            return kept
        progress(f"the machine takes {slow:.2f} times its time: measuring again ...")
        time.sleep(_PAUSE_S)
    raise AssertionError("a round")


def slowness() -> float:
    """Return how many times its fastest time the fixed piece of work takes now."""
    if not _fastest:
        _fastest.append(min(_work() for _ in range(_FIRST)))
    times = [_work() for _ in range(_TIMES)]
    _fastest[0] = min(_fastest[0], *times)
    return median(times) / _fastest[0]


def against_that_of_the_goals() -> float:
    """Return how many times as long as on the machine that goals are of a signature takes."""
    return min(_signature_us() for _ in range(_TIMES)) / _GOALS_SIGNATURE_US


def within_there(limit: float, found: float, unit: str) -> tuple[bool, str]:
    """Return whether a time met its goal there, going by how fast the machine is just now."""
    return within(limit, found / against_that_of_the_goals(), f"{unit} there")


def at_least_there(limit: float, found: float, unit: str) -> tuple[bool, str]:
    """Return whether as many a second would have been done there."""
    return at_least(limit, found * against_that_of_the_goals(), f"{unit} there")


def _signature_us() -> float:
    key, digest = PrivateKey(b"\x01" * 32), b"\x02" * 32
    started = time.perf_counter()
    for _ in range(_SIGNATURES):
        key.sign_recoverable(digest, hasher=None)
    return (time.perf_counter() - started) / _SIGNATURES * 1e6


def _work() -> float:
    """Time some arithmetic, twenty milliseconds or so."""
    started, total = time.perf_counter(), 0
    for step in range(_STEPS):
        total += step * step % 7
    return time.perf_counter() - started
