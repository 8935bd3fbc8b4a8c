"""Who was planned ahead in vain: dust that earns nothing takes the place of who does only once.

Anybody may keep loans next to the line that nobody earns by closing.
"""

from collections.abc import Collection, Iterable
from typing import Final

from keeper.core.lending import AccountRef

FOR_BLOCKS: Final = 16


class InVain:
    """Accounts that nothing was signed for lately, as a feed moves. One writer."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, AccountRef], int] = {}

    def note(self, feed: str, ref: AccountRef, block: int) -> None:
        """Take note of an account that came to nothing at ``block``."""
        self._until[feed, ref] = block + FOR_BLOCKS

    def put_last(
        self, feed: str, near: Iterable[tuple[AccountRef, float]], block: int
    ) -> list[tuple[AccountRef, float]]:
        """Return accounts and their prices in their order, but who has to wait behind all others.

        Who came to nothing at one head may be worth it at the next, as once a pool has recovered.
        """
        return sorted(near, key=lambda one: block < self._until.get((feed, one[0]), block))

    def begin(self, block: int) -> None:
        """Forget who waits no more at ``block``."""
        self._until = {key: until for key, until in self._until.items() if until > block}

    def forget(self, refs: Collection[AccountRef]) -> None:
        """Forget accounts that changed."""
        self._until = {key: until for key, until in self._until.items() if key[1] not in refs}
