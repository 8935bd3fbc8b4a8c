"""Logs as they come, for what must be known before the next look: price events."""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Protocol

from keeper.chain.heads import HeadStream
from keeper.chain.log_ranges import log_query
from keeper.chain.records import decode_log, glimpse_log
from keeper.chain.subscriptions import Subscriptions
from keeper.chain.trouble import Report, Trouble, quiet
from keeper.core.chain import BlockRef, Log, LogFilter, LogHint
from keeper.core.errors import RefusedError, StaleError, TransientError
from keeper.runtime.clock import Clock

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 10.0
_SILENCE_S = 60.0
_REMEMBERED = 4_096


class LogReader(Protocol):
    """The reads that fill gaps."""

    async def head(self) -> BlockRef:
        """Return the newest block."""
        ...

    async def logs_at(self, wanted: LogFilter, block: BlockRef) -> list[Log]:
        """Return the logs of one block."""
        ...

    async def logs_between(self, wanted: LogFilter, first: int, last: int) -> list[Log]:
        """Return the logs of a range of blocks."""
        ...


class LogStream:
    """Follows logs for ever, each told once, and once each time that a reorg takes or returns it.

    It resumes where it was after every loss.

    It may begin with logs of the block that was the head when it started.
    """

    def __init__(
        self,
        wanted: LogFilter,
        reader: LogReader,
        *,
        clock: Clock,
        subscriptions: Callable[[], Subscriptions] | None,
        heads: Callable[[], HeadStream],
        report: Report = quiet,
    ) -> None:
        self._wanted = wanted
        self._reader = reader
        self._clock = clock
        self._open = subscriptions
        self._heads = heads
        self._report = report
        self._told: dict[tuple[str, int], bool] = {}
        """Whether a log was told as removed at last: a reorg may bring it back."""
        self._from: int | None = None
        """The block whose logs may not all be told yet."""
        self._socket: Subscriptions | None = None
        self.tap: Callable[[LogHint, int], None] | None = None
        """Hears of each pushed log as its bytes come, and when (``time.perf_counter_ns``): perhaps
        twice, and perhaps never."""

    def watch(self, wanted: LogFilter) -> None:
        """Follow other logs from now on."""
        self._wanted = wanted
        if self._socket is not None:
            self._socket.wake()

    async def follow(self) -> AsyncGenerator[Log, None]:
        """Yield each log. Ends only when the consumer does."""
        follow = self._polled() if self._open is None else self._pushed(self._open)
        async with aclosing(follow) as logs:
            async for log in logs:
                yield log

    async def _polled(self) -> AsyncGenerator[Log, None]:
        async with aclosing(self._heads().follow()) as heads:
            async for head in heads:
                for log in await self._logs_of(head.block):
                    yield log

    async def _logs_of(self, block: BlockRef) -> list[Log]:
        """Return the untold logs of a head, and of those before it that could not be read."""
        try:
            found = await self._reader.logs_at(self._wanted, block)
            if self._from is not None:
                found = await self._missed(self._wanted) + found
        except StaleError:  # gone by a reorg: the head that replaced it follows
            return []
        except (TransientError, RefusedError) as e:
            self._from = block.number if self._from is None else min(self._from, block.number)
            self._report(Trouble.LOST, str(e))
            return []
        self._from = None
        return self._untold(found)

    async def _pushed(self, open_socket: Callable[[], Subscriptions]) -> AsyncGenerator[Log, None]:
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                self._socket = open_socket()
                self._socket.tap = self._hear
                async with aclosing(self._until_lost(self._socket)) as logs:
                    async for log in logs:
                        wait_s = _FIRST_WAIT_S
                        yield log
            except (TransientError, StaleError, RefusedError) as e:
                self._report(Trouble.LOST, str(e))
            finally:
                if self._socket is not None:
                    await self._socket.close()
            await self._clock.sleep(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    async def _until_lost(self, socket: Subscriptions) -> AsyncGenerator[Log, None]:
        wanted: LogFilter | None = None
        subscription: str | None = None
        while True:
            if wanted != self._wanted:
                wanted = self._wanted
                subscription = await _replace(socket, subscription, wanted)
                for log in self._untold(await self._missed(wanted)):
                    yield log
            pushed = await socket.next(_SILENCE_S)
            if pushed is not None:
                told = decode_log(pushed.result, pushed.at_ns)
                if self._from is not None and not told.removed:
                    self._from = max(self._from, told.block_number)
                for log in self._untold([told]):
                    yield log
            elif found := self._untold(await self._missed(wanted)):
                for log in found:
                    yield log
                raise TransientError("logs: expected them pushed, found only by looking")

    def _hear(self, message: bytes, at_ns: int) -> None:
        """Tell whoever cannot wait; what is not a log is for ``follow`` to find out."""
        if self.tap is not None and (told := glimpse_log(message)) is not None:
            self.tap(told, at_ns)

    def drill(self, push: bytes) -> None:
        """Have the tap hear a log of our own, by the way of those that the node pushes."""
        if self._socket is not None:
            self._socket.drill(push)

    async def _missed(self, wanted: LogFilter) -> list[Log]:
        """Return the logs since the last look, that block's own included; none at the first."""
        head = await self._reader.head()
        try:
            found = await self._since(self._from, wanted, head)
        except RefusedError:  # a definite no: whoever asks again is told the same
            self._from = head.number
            raise
        self._from = head.number
        return found

    async def _since(self, first: int | None, wanted: LogFilter, head: BlockRef) -> list[Log]:
        if first is None:
            return []
        return await self._reader.logs_between(wanted, min(first, head.number), head.number)

    def _untold(self, logs: Iterable[Log]) -> list[Log]:
        fresh = []
        for log in logs:
            key = (log.block_hash, log.index)
            if self._told.get(key) is not log.removed:
                self._told.pop(key, None)
                self._told[key] = log.removed
                fresh.append(log)
        while len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]
        return fresh


async def _replace(socket: Subscriptions, old: str | None, wanted: LogFilter) -> str | None:
    """Subscribe to the wanted logs, then drop the old subscription: no log falls between."""
    new = await socket.subscribe("logs", log_query(wanted)) if wanted.addresses else None
    if old is not None:
        await socket.unsubscribe(old)
    return new
