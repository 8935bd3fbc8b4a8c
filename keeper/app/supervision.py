"""The keepers of several chains in one process, each a failure domain of its own.

Whatever ends one chain's keeper, be it a node that is gone, a setting that the chain contradicts or
a fault of ours in one of its loops, is said; that chain is opened again after a while, from its
journal, and the others never notice. A broken promise (``InvariantError``) ends the process: going
on would be a guess.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

import structlog
from msgspec import Struct

from keeper.app.faults import is_broken_promise, kind_of, unforeseen, words_of
from keeper.app.session import Session
from keeper.runtime.clock import Clock
from keeper.runtime.garbage import let_go
from keeper.runtime.lasting import lasting
from keeper.runtime.spacing import Spacing

log = structlog.get_logger()

CHAIN_STARTED = "chain.started"
CHAIN_FAILED = "chain.failed"

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0
"""Before a chain that failed is opened again; each time twice as long."""

STEADY_S: Final = 600.0
"""A chain that ran so long failed anew, not again."""


class Berth(Struct, frozen=True, kw_only=True):
    """A chain to keep up."""

    name: str
    open: Callable[[], AbstractAsyncContextManager[Session]]
    """Opens everything anew, as at a start."""
    halt: Callable[[str], None]
    """Stops its sending, also while it is not open."""


class Supervisor:
    """Keeps chains up until it is told to stop."""

    def __init__(self, berths: Sequence[Berth], *, clock: Clock) -> None:
        """Take the chains; none is opened yet."""
        self._berths = berths
        self._clock = clock
        self._ever: set[str] = set()
        self._failed: dict[str, Exception] = {}
        self.sessions: dict[str, Session] = {}
        """The chains that are open now."""

    def halt(self, why: str) -> None:
        """Stop all sending on every chain, also on one that is opened later."""
        for one in self._berths:
            # Told from outside of any chain: what is said of it must name the chain all the same.
            with structlog.contextvars.bound_contextvars(chain=one.name):
                one.halt(why)

    async def run(self, stop: asyncio.Event) -> None:
        """Run every chain until ``stop``, and then until each has drained.

        Raises InvariantError, and what was wrong when not one of the chains could be opened.
        """
        async with asyncio.TaskGroup() as group:
            for berth in self._berths:
                group.create_task(self._keep_up(berth, stop))

    async def _keep_up(self, berth: Berth, stop: asyncio.Event) -> None:
        structlog.contextvars.bind_contextvars(chain=berth.name)
        spacing = Spacing(first_s=FIRST_WAIT_S, longest_s=LONGEST_WAIT_S, steady_s=STEADY_S)
        while not stop.is_set():
            began = self._clock.monotonic()
            error = await self._unless_stopped(berth, stop)
            if error is None:
                return
            wait = spacing.after(self._clock.monotonic() - began)
            log.error(
                CHAIN_FAILED,
                kind=kind_of(error),
                why=words_of(error),
                retry_s=wait,
                exc_info=unforeseen(error),
            )
            self._require_any(berth, error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await stop.wait()

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
            await lasting(partial(self._opened, berth, stop), stop.is_set)
        except Exception as error:
            if is_broken_promise(error):
                raise
            return error
        finally:
            self.sessions.pop(berth.name, None)
            let_go()  # what is opened next sets apart anew what lives long
        return None

    async def _opened(self, berth: Berth, stop: asyncio.Event) -> None:
        async with berth.open() as session:
            self.sessions[berth.name] = session
            self._ever.add(berth.name)
            log.info(CHAIN_STARTED, block=session.head.number)
            await session.keeper.run(session.head, stop)

    def _require_any(self, berth: Berth, error: Exception) -> None:
        """Raise when the first try of every chain has failed: that is no matter of one chain."""
        self._failed.setdefault(berth.name, error)
        if not self._ever and len(self._failed) == len(self._berths):
            msg = "no chain could be opened"
            raise ExceptionGroup(msg, list(self._failed.values()))
