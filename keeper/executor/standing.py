"""Whether anything may be sent: the breaker, the kill switch, and a person's word to go on.

A halt is held in memory at once and on disk before the next block is settled, so that it outlives
the process. Only ``keeper rearm`` takes it back.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog
from msgspec import Struct

from keeper.core.ports import Journal
from keeper.executor.breaker import BreakerLimits, tripped
from keeper.runtime.presence import is_there

log = structlog.get_logger()

SENDING_HALTED = "sending.halted"
SENDING_RESUMED = "sending.resumed"

HOUR = 3_600
DAY = 86_400


class Triggers(Struct, frozen=True, kw_only=True):
    """What halts sending by itself."""

    breaker: BreakerLimits
    halt_file: Path | None
    """Its existence is the order to stop."""


class Standing:
    """Whether sending is allowed."""

    def __init__(self, journal: Journal, triggers: Triggers, *, now: Callable[[], float]) -> None:
        """Make a standing that ``review`` must see before anything is sent."""
        self._journal = journal
        self._triggers = triggers
        self._now = now
        self._halted: str | None = None
        self._saved = True
        self._known = False
        self._again: tuple[int, str] | None = None
        """The newest reason beside the one that stands, behind when it was given (unix seconds)."""

    @property
    def halted(self) -> str | None:
        """Why nothing is sent, None when it may be."""
        self._look_for_file()
        return self._halted

    def halt(self, why: str) -> None:
        """Stop all sending now; the first reason stands, also for a person to take back."""
        if self._halted is not None:
            self._again = int(self._now()), why
            return
        self._halted, self._saved = why, False
        log.error(SENDING_HALTED, why=why)

    def kept(self, why: str) -> None:
        """Hear that a halt is on disk by now: a person's word from here on takes it back."""
        self._saved = self._saved or self._halted == why

    async def review(self) -> str | None:
        """Bring memory and disk together, and let the breaker judge; return why it is halted."""
        if not self._known:
            row = await self._journal.standing()
            self._known = True
            if row.halted is not None:
                self._halted = row.halted
                log.error(SENDING_HALTED, why=row.halted, since=_moment(row.since))
        self._look_for_file()
        if self._halted is None:
            await self._judge()
        if self._halted is not None:
            await self._keep()
        return self._halted

    async def _keep(self) -> None:
        """Put a new halt on disk; take an old one back once somebody has rearmed.

        What was a reason to halt since then is one that nobody has seen: it stands.
        """
        if not self._saved and self._halted is not None:
            await self._journal.halt(self._halted)
            self._saved = True
            return
        row = await self._journal.standing()
        if row.halted is not None:
            return
        self._halted, again, self._again = None, self._again, None
        if again is not None and again[0] >= row.since:  # which is when the word was given
            self.halt(again[1])
        self._look_for_file()
        if self._halted is None:
            log.warning(SENDING_RESUMED, rearmed=_moment(row.rearmed))
        else:
            await self._keep()

    async def _judge(self) -> None:
        now = int(self._now())
        tally = await self._journal.tally(day=now - DAY, hour=now - HOUR)
        why = tripped(tally, self._triggers.breaker)
        if why is not None:
            self.halt(why)

    def _look_for_file(self) -> None:
        path = self._triggers.halt_file
        if self._halted is not None or path is None:
            return
        try:
            is_pulled = is_there(path)
        except OSError as error:
            wanted = "expected to be told whether it is there"
            self.halt(f"kill switch: {path}: {wanted}, found {error.strerror}")
            return
        if is_pulled:
            self.halt(f"kill switch: {path} is there")


def _moment(at: int) -> str:
    """Return unix seconds as a person who is alerted reads them (UTC)."""
    return datetime.fromtimestamp(at, UTC).isoformat()
