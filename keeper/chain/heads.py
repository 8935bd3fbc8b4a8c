"""The chain's newest blocks as they come: gaps filled, reorgs told, silence noticed."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Protocol

from keeper.chain.data_fees import Rollup
from keeper.chain.head_tracker import Headers, HeadEvent, HeadTracker
from keeper.chain.records import decode_block
from keeper.chain.subscriptions import Subscriptions
from keeper.chain.trouble import Report, Trouble, quiet
from keeper.core.chain import BlockRef
from keeper.core.errors import RefusedError, StaleError, TransientError
from keeper.runtime.clock import Clock

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 10.0


class HeadSource(Protocol):
    """Sights of the head, in any order, repeated or with gaps."""

    def sights(self) -> AsyncGenerator[BlockRef, None]:
        """Yield what the node says its head is; raise TransientError when that cannot go on."""
        ...


class HeadReader(Headers, Protocol):
    """The reads that a source of heads needs."""

    async def head(self) -> BlockRef:
        """Return the newest block."""
        ...


class PolledHeads:
    """Asks for the head again and again."""

    def __init__(self, reader: HeadReader, clock: Clock, *, every_s: float) -> None:
        self._reader = reader
        self._clock = clock
        self._every_s = every_s

    async def sights(self) -> AsyncGenerator[BlockRef, None]:
        """Yield the head at each look."""
        while True:
            yield await self._reader.head()
            await self._clock.sleep(self._every_s)


class PushedHeads:
    """Subscribes to new heads, and looks itself when the subscription is silent.

    A node that rolls its chain back pushes nothing, and neither does one whose socket froze. One
    that pushes old blocks is as silent.
    """

    def __init__(
        self,
        subscriptions: Callable[[], Subscriptions],
        reader: HeadReader,
        *,
        clock: Clock,
        check_s: float,
        rollup: Rollup | None = None,
        told: Callable[[BlockRef], None] = lambda _: None,
    ) -> None:
        """Subscribe at ``subscriptions``; ``told`` hears of each head that is pushed."""
        self._open = subscriptions
        self._told = told
        self._clock = clock
        self._reader = reader
        self._check_s = check_s
        self._rollup = rollup

    async def sights(self) -> AsyncGenerator[BlockRef, None]:
        """Yield the head now, then each that is pushed, and a look after each silence."""
        subscriptions = self._open()
        try:
            await subscriptions.subscribe("newHeads")
            found = await self._reader.head()
            yield found
            newest, missed, due = found.number, False, self._due()
            while True:
                wait_s = due - self._clock.monotonic()
                pushed = await subscriptions.next(wait_s) if wait_s > 0 else None
                if pushed is not None:
                    seen = decode_block(pushed.result, self._rollup)
                    self._told(seen)
                    if seen.number > newest:  # others tell of no chain that grows
                        newest, missed, due = seen.number, False, self._due()
                    yield seen
                    continue
                found = await self._reader.head()
                if found.number > newest:
                    if missed:
                        raise TransientError("heads: expected them pushed, found only by looking")
                    missed = True
                newest, due = found.number, self._due()
                yield found
        finally:
            await subscriptions.close()

    def _due(self) -> float:
        """Return when to look, unless the chain is told to grow before."""
        return self._clock.monotonic() + self._check_s


class PushedElsePolled:
    """Subscribes, and looks itself for a while after each loss: a dead socket is no dead chain."""

    def __init__(
        self, pushed: PushedHeads, polled: PolledHeads, clock: Clock, *, report: Report
    ) -> None:
        self._pushed = pushed
        self._polled = polled
        self._clock = clock
        self._report = report
        self._wait_s = _FIRST_WAIT_S

    async def sights(self) -> AsyncGenerator[BlockRef, None]:
        """Yield what is pushed, then what is seen by looking; end to be connected anew."""
        started = self._clock.monotonic()
        try:
            async with aclosing(self._pushed.sights()) as sights:
                async for sight in sights:
                    yield sight
        except (TransientError, RefusedError) as e:
            self._report(Trouble.LOST, str(e))
        lost = self._clock.monotonic()
        if lost - started > _LONGEST_WAIT_S:
            self._wait_s = _FIRST_WAIT_S
        told = False
        async with aclosing(self._polled.sights()) as sights:
            async for sight in sights:
                if not told:
                    told = True
                    self._report(Trouble.RESUMED, f"head {sight.number}, found by looking")
                yield sight
                if self._clock.monotonic() - lost >= self._wait_s:
                    break
        self._wait_s = min(self._wait_s * 2, _LONGEST_WAIT_S)


class HeadStream:
    """Follows the head for ever: connects again after every loss, and fills what was missed."""

    def __init__(
        self,
        source: HeadSource,
        headers: Headers,
        *,
        clock: Clock,
        stall_s: float,
        report: Report = quiet,
        leave: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """Follow a source; ``leave`` has another node asked, told why, where there are several."""
        self._source = source
        self._leave = leave
        self._unjoined = ""
        """Why the last sight led to no head, empty when it did."""
        self._tracker = HeadTracker(headers)
        self._clock = clock
        self._stall_s = stall_s
        self._report = report
        self._wait_s = _FIRST_WAIT_S
        self._down = False
        self._stalled = False
        self.trouble = ""
        """Why nothing comes just now, empty while it does."""
        self._last_new = clock.monotonic()
        self.on_leaving: Callable[[], None] = lambda: None
        """Hears of a sight of another branch, before it is found out where that parted."""

    def silent_s(self) -> float:
        """Return the seconds since the last new head, by our clock."""
        return self._clock.monotonic() - self._last_new

    async def follow(self) -> AsyncGenerator[HeadEvent, None]:
        """Yield each new head. Ends only when the consumer does."""
        while True:
            try:
                async with aclosing(self._follow_once()) as events:
                    async for event in events:
                        yield event
            except (TransientError, StaleError, RefusedError) as e:
                self._down, self.trouble = True, str(e)
                self._report(Trouble.LOST, str(e))
                self._tell_silence()
            await self._clock.sleep(self._wait_s)
            self._wait_s = min(self._wait_s * 2, _LONGEST_WAIT_S)

    async def _follow_once(self) -> AsyncGenerator[HeadEvent, None]:
        """Yield heads until the source fails, or is silent for so long that it is given up."""
        async with aclosing(self._source.sights()) as sights:
            async for sight in sights:
                for event in await self._events(sight):
                    yield event
                if self._tell_silence():
                    if self._unjoined and self._leave is not None:
                        await self._leave(self._unjoined)
                    return

    def _tell_silence(self) -> bool:
        """Report a silence that is too long, and count from now; tell whether there was one."""
        silent_s = self.silent_s()
        if silent_s <= self._stall_s:
            return False
        self._report(Trouble.STALLED, f"no new head for {silent_s:.0f} s")
        self._last_new, self._stalled = self._clock.monotonic(), True
        return True

    async def _events(self, sight: BlockRef) -> list[HeadEvent]:
        if self._tracker.leaves(sight):
            self.on_leaving()
        try:
            events = await self._tracker.advance(sight)
        except StaleError as e:  # the chain moved while we looked: the next sight tells
            self._unjoined = str(e)
            return []
        self._unjoined = ""
        if self._down:
            self._down, self.trouble = False, ""
            self._last_new = self._clock.monotonic()  # its silence was told while it was gone
            self._report(Trouble.RESUMED, f"head {sight.number}")
        self._wait_s = _FIRST_WAIT_S
        if events:
            self._last_new = self._clock.monotonic()
            self._tell_end(sight)
        return events

    def _tell_end(self, sight: BlockRef) -> None:
        """Report that a silence which was reported is over."""
        if self._stalled:
            self._stalled = False
            self._report(Trouble.BACK, f"head {sight.number}")
