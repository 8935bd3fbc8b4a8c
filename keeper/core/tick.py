"""One fact's way from the node's bytes to the write of a transaction, stage by stage."""

from enum import StrEnum
from time import perf_counter_ns
from typing import Final

STAGES: Final = (
    "decode",
    "look_up",
    "read",
    "plan",
    "audit",
    "judge",
    "rehearse",
    "sign",
    "journal",
    "send",
)
"""The stages in their usual order; a rung leaves out those that it does not need."""


class Rung(StrEnum):
    """How much of the work was done before the fact came."""

    PREARMED = "prearmed"
    """All of it, the signature included: its bytes are written."""
    PREPARED = "prepared"
    """The plan: it is checked again, numbered and signed."""
    PLANNED = "planned"
    """Nothing: it is planned on the spot."""


class Tick:
    """A fact with the time at which each stage of answering it ended.

    Times are those of ``time.perf_counter_ns`` and tell durations alone.
    """

    __slots__ = ("began_ns", "marks", "rung")

    def __init__(self, began_ns: int = 0, rung: Rung = Rung.PLANNED) -> None:
        """Begin when the first byte came, or now."""
        self.began_ns = began_ns or perf_counter_ns()
        self.marks: list[tuple[str, int]] = []
        self.rung = rung

    def mark(self, stage: str) -> None:
        """Say that a stage has ended."""
        self.marks.append((stage, perf_counter_ns()))

    @property
    def total_ns(self) -> int:
        """Return what has passed up to the last mark."""
        return self.marks[-1][1] - self.began_ns if self.marks else 0

    def spans_ns(self) -> list[tuple[str, int]]:
        """Return what each stage took in all, in the order in which they first ended."""
        before, spans = self.began_ns, dict[str, int]()
        for stage, at in self.marks:
            spans[stage] = spans.get(stage, 0) + at - before
            before = at
        return list(spans.items())
