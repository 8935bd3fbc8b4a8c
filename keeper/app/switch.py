"""The kill switch of a chain: it holds whether its keeper is open, is being opened or is not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import structlog

from keeper.ledger.standing import halt_database, read_standing
from keeper.runtime.clock import Clock

log = structlog.get_logger()

HALT_ORDERED = "halt.ordered"
"""To a chain that is not open; what opens it next finds the order."""
HALT_IN_MEMORY = "halt.in_memory"
"""It could not be put on disk: it does not outlive this process."""


class Halted(Protocol):
    """Whoever stops sending."""

    def halt(self, why: str) -> None:
        """Stop all sending now."""
        ...

    def kept(self, why: str) -> None:
        """Hear that a halt is on disk by now."""
        ...


class Switch:
    """Stops the sending of one chain until somebody rearms."""

    def __init__(self, database: Path, clock: Clock) -> None:
        """Make the switch of the chain of a database, which need not be there yet."""
        self._database = database
        self._clock = clock
        self._keeper: Halted | None = None
        self._ordered: str | None = None
        """What whoever opens the chain next is told, although it may have read the disk before."""
        self._at = 0
        """When that was ordered, unix seconds."""
        self._is_kept = False

    def halt(self, why: str) -> None:
        """Stop sending now, and put the order on disk before this returns, where that can be."""
        keeper, now = self._keeper, int(self._clock.now())
        if keeper is None:
            log.error(HALT_ORDERED, why=why)
        else:
            keeper.halt(why)
        self._is_kept = halt_database(self._database, why, now=now)
        if keeper is not None and self._is_kept:
            keeper.kept(why)
        if keeper is None or not self._is_kept:  # an open one may fail, and be opened anew
            self._ordered, self._at = why, now
        if not self._is_kept:
            log.error(HALT_IN_MEMORY, why=why, database=str(self._database))

    @contextmanager
    def over(self, keeper: Halted) -> Iterator[None]:
        """Reach a keeper as long as it is open; it is told at once what was ordered before."""
        self._keeper = keeper
        why, self._ordered = self._ordered, None
        if why is not None and not self._is_taken_back():
            self.halt(why)
        try:
            yield
        finally:
            self._keeper = None

    def _is_taken_back(self) -> bool:
        """Return whether somebody rearmed since the order was given.

        One that could not be put on disk may be there by now, from the keeper that it was given to.
        """
        found = read_standing(self._database)
        return found.halted is None and (self._is_kept or found.rearmed > self._at)
