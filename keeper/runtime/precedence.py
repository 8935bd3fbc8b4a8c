"""Who goes first where all share one processor and one node: whoever a price may have brought.

Nothing is forbidden by it. What may wait asks ``give_way`` before it begins.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Precedence:
    """Who is being looked into or planned for just now."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._claims: set[str] = set()
        self._free = asyncio.Event()
        self._free.set()

    @property
    def is_claimed(self) -> bool:
        """Return whether anybody goes first just now."""
        return bool(self._claims)

    def claim(self, who: str, *, most_s: float | None = None) -> None:
        """Go first, until released, or for so long. Claiming twice is claiming once."""
        self._claims.add(who)
        self._free.clear()
        if most_s is not None:
            asyncio.get_running_loop().call_later(most_s, self.release, who)

    def release(self, who: str) -> None:
        """Go first no more. Releasing what is not claimed is harmless."""
        self._claims.discard(who)
        if not self._claims:
            self._free.set()

    @contextmanager
    def claimed(self, who: str) -> Iterator[None]:
        """Go first for a while."""
        self.claim(who)
        try:
            yield
        finally:
            self.release(who)

    async def give_way(self, most_s: float) -> None:
        """Return once nobody goes first, or after so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await self._free.wait()
