"""Clocks whose time passes sooner: by sleeps that take none, or as on a chain mined by hand."""

import asyncio

from keeper.runtime.clock import SystemClock


class InstantClock:
    """Time that passes only by sleeping. Remembers every sleep."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.time = start
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += max(seconds, 0.0)
        await asyncio.sleep(0)


class HastyClock(SystemClock):
    """The machine's, forty times as fast: as a chain goes of which a test mines blocks."""

    def monotonic(self) -> float:
        return 40 * super().monotonic()


NEVER_S = 1e9
"""For ``SteadyClock``, between two looks of a pool at its nodes."""


class SteadyClock(InstantClock):
    """Never comes to a pool's own looking, after that at the start: a test looks when it wants."""

    async def sleep(self, seconds: float) -> None:
        if seconds == NEVER_S:
            await asyncio.Event().wait()
        await super().sleep(seconds)
