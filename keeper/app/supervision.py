"""The keepers of several chains in one process, each a failure domain of its own.

Whatever ends one chain's keeper, be it a node that is gone, a setting that the chain contradicts or
a fault of ours in one of its loops, is said; that chain is opened again after a while, from its
journal, and the others never notice. A broken promise (``InvariantError``) ends the process: going
on would be a guess.
"""

import asyncio
import contextlib
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

import structlog

from keeper.app.session import Session
from keeper.core.errors import InvariantError, KeeperError
from keeper.runtime.clock import Clock

log = structlog.get_logger()

CHAIN_STARTED = "chain.started"
CHAIN_FAILED = "chain.failed"

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0
"""Before a chain that failed is opened again; each time twice as long."""

STEADY_S: Final = 600.0
"""A chain that ran so long failed anew, not again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Berth:
    """A chain to keep up."""

    name: str
    open: Callable[[], AbstractAsyncContextManager[Session]]
    """Opens everything anew, as at a start."""


class Supervisor:
    """Keeps chains up until it is told to stop."""

    def __init__(self, berths: Sequence[Berth], *, clock: Clock) -> None:
        """Take the chains; none is opened yet."""
        self._berths = berths
        self._clock = clock
        self._halted: str | None = None
        self._ever: set[str] = set()
        self._failed: dict[str, Exception] = {}
        self.sessions: dict[str, Session] = {}
        """The chains that are open now."""

    def halt(self, why: str) -> None:
        """Stop all sending on every chain, also on one that is opened later."""
        self._halted = why
        for session in self.sessions.values():
            session.keeper.halt(why)

    async def run(self, stop: asyncio.Event) -> None:
        """Run every chain until ``stop``, and then until each has drained.

        Raises InvariantError, and what was wrong when not one of the chains could be opened.
        """
        async with asyncio.TaskGroup() as group:
            for berth in self._berths:
                group.create_task(self._keep_up(berth, stop))

    async def _keep_up(self, berth: Berth, stop: asyncio.Event) -> None:
        structlog.contextvars.bind_contextvars(chain=berth.name)
        wait = FIRST_WAIT_S
        while not stop.is_set():
            began = self._clock.monotonic()
            error = await self._unless_stopped(berth, stop)
            if error is None:
                return
            if self._clock.monotonic() - began >= STEADY_S:
                wait = FIRST_WAIT_S
            log.error(
                CHAIN_FAILED,
                kind=_kind(error),
                why=_words(error),
                retry_s=wait,
                exc_info=_ours(error),
            )
            self._require_any(berth, error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await stop.wait()
            wait = min(2 * wait, LONGEST_WAIT_S)

    async def _unless_stopped(self, berth: Berth, stop: asyncio.Event) -> Exception | None:
        """Run a chain to its end; one that is not open yet when it is told to stop ends at once."""
        work, stopping = (
            asyncio.ensure_future(self._once(berth, stop)),
            asyncio.ensure_future(stop.wait()),
        )
        try:
            await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and berth.name not in self.sessions:
                return None
            return await work
        finally:
            stopping.cancel()
            work.cancel()
            await asyncio.gather(stopping, work, return_exceptions=True)

    async def _once(self, berth: Berth, stop: asyncio.Event) -> Exception | None:
        """Open a chain and run its keeper; return what ended it, None for a stop."""
        try:
            async with berth.open() as session:
                self.sessions[berth.name] = session
                self._ever.add(berth.name)
                log.info(CHAIN_STARTED, block=session.head.number)
                if self._halted is not None:
                    session.keeper.halt(self._halted)
                await session.keeper.run(session.head, stop)
        except Exception as error:
            if _is_broken_promise(error):
                raise
            return error
        finally:
            self.sessions.pop(berth.name, None)
        return None

    def _require_any(self, berth: Berth, error: Exception) -> None:
        """Raise when the first try of every chain has failed: that is no matter of one chain."""
        self._failed.setdefault(berth.name, error)
        if not self._ever and len(self._failed) == len(self._berths):
            msg = "no chain could be opened"
            raise ExceptionGroup(msg, list(self._failed.values()))


def _is_broken_promise(error: Exception) -> bool:
    if isinstance(error, ExceptionGroup):
        return error.subgroup(InvariantError) is not None
    return isinstance(error, InvariantError)


def _leaves(error: Exception) -> list[Exception]:
    if isinstance(error, ExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]


def _kind(error: Exception) -> str:
    return ", ".join(dict.fromkeys(type(one).__name__ for one in _leaves(error)))


def _words(error: Exception) -> str:
    """Return what may be said of an error: the words of one that is not ours may hold anything."""
    return "; ".join(dict.fromkeys(_said(one) for one in _leaves(error)))


def _said(error: Exception) -> str:
    if isinstance(error, KeeperError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "nowhere"
    return f"a fault of Keeper itself: {type(error).__name__} at {where}"


def _ours(error: Exception) -> Exception | None:
    """Return a fault of ours, for the log to show whence it came."""
    others = [one for one in _leaves(error) if not isinstance(one, KeeperError)]
    return others[0] if others else None
