"""A mailbox of one slot: before commitment, only the newest fact matters."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):  # noqa: N818 - an end of stream, as StopAsyncIteration is, not an error
    """The mailbox was closed and is empty: nothing more will come."""


class Latest(Generic[T]):
    """Keep the newest value that nobody has taken yet.

    ``merge(waiting, newer)`` decides what is kept when a value was still waiting; without it the
    newer one replaces it. One reader at a time; any number of writers, all on one event loop.
    """

    def __init__(self, merge: Callable[[T, T], T] | None = None) -> None:
        self._merge = merge
        self._slot: list[T] = []
        self._filled = asyncio.Event()
        self._closed = False

    def put(self, value: T) -> None:
        """Leave a value, merged with or replacing the one that is waiting. Never blocks.

        Raises Closed after ``close``.
        """
        if self._closed:
            raise Closed
        if self._slot and self._merge is not None:
            value = self._merge(self._slot[0], value)
        self._slot = [value]
        self._filled.set()

    def offer(self, value: T) -> None:
        """Leave a value as ``put`` does, or drop it when the mailbox is closed."""
        if not self._closed:
            self.put(value)

    async def get(self) -> T:
        """Wait for a value and take it. Raises Closed when none will come any more."""
        await self._filled.wait()
        if not self._slot:
            raise Closed
        value = self._slot.pop()
        if not self._closed:
            self._filled.clear()
        return value

    @property
    def waiting(self) -> T | None:
        """Return the value that waits to be taken, which goes on waiting, or None."""
        return self._slot[0] if self._slot else None

    @property
    def is_waiting(self) -> bool:
        """Tell whether a value waits to be taken, or none will come any more."""
        return bool(self._slot) or self._closed

    @property
    def is_closed(self) -> bool:
        """Tell whether nothing is taken in any more."""
        return self._closed

    def take(self) -> T | None:
        """Return the waiting value without waiting for one, or None."""
        if not self._slot:
            return None
        if not self._closed:
            self._filled.clear()
        return self._slot.pop()

    def close(self) -> None:
        """Let the reader have what is waiting, then raise Closed. Closing twice is harmless."""
        self._closed = True
        self._filled.set()

    async def __aiter__(self) -> AsyncIterator[T]:
        """Yield each value taken until the mailbox is closed."""
        while True:
            try:
                value = await self.get()
            except Closed:
                return
            yield value
