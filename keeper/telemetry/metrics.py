"""The one registry of a keeper process, and its measures of speed.

Whoever serves ``/metrics`` serves ``REGISTRY``; further measures are added to it where they are
taken. Names are of the form ``keeper_<what>_<unit>``.
"""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.registry import Collector

from keeper.core.tick import Tick

REGISTRY: Final = CollectorRegistry()

_SECONDS: Final = tuple(
    one * 10.0**power for power in range(-6, 1) for one in (1.0, 2.0, 3.0, 5.0, 7.5)
)
"""From a microsecond to seconds, fine enough to read a 99th percentile off."""


class _Process(Collector):
    """What ``REGISTRY`` holds, for another registry to show as well."""

    def collect(self) -> Iterable[Metric]:
        """Yield the measures of the process."""
        return REGISTRY.collect()


def with_process(registry: CollectorRegistry) -> CollectorRegistry:
    """Return a chain's registry with the measures of the process in it."""
    registry.register(_Process())
    return registry


class Stopwatch:
    """Histograms of how long a fact took to become a transaction on the wire."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        """Add the histograms to a registry; a registry takes them once."""
        self._whole = Histogram(
            "keeper_tick_to_send_seconds",
            "From the first byte of a price event or head to the return of the write that sends.",
            ("rung",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._stage = Histogram(
            "keeper_tick_stage_seconds",
            "One stage of the way from a price event or head to the write that sends.",
            ("rung", "stage"),
            buckets=_SECONDS,
            registry=registry,
        )

    def record(self, tick: Tick) -> None:
        """Count a fact that was answered by at least one transaction."""
        self._whole.labels(tick.rung.value).observe(tick.total_ns / 1e9)
        for stage, took_ns in tick.spans_ns():
            self._stage.labels(tick.rung.value, stage).observe(took_ns / 1e9)


STOPWATCH: Final = Stopwatch()
"""Of this process."""


def lost_lines(registry: CollectorRegistry = REGISTRY) -> Counter:
    """Add the counter of lines that the log lost to a registry; a registry takes it once."""
    return Counter("keeper_lines_lost", "Lines of the log that were lost.", registry=registry)


LOST_LINES: Final = lost_lines()
"""Of this process."""
