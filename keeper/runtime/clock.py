"""Time as an argument, so that a test can own it."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time, steady time and sleep."""

    def now(self) -> float:
        """Return unix seconds. It may jump; never measure a delay with it."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only grow, from an arbitrary start."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds, or at once when they are not positive."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> float:
        """Return unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running event loop."""
        await asyncio.sleep(max(seconds, 0.0))
