"""What lenders lend at one block, read once for it however often it is planned."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from keeper.core.chain import BlockRef
from keeper.core.ports import FlashSource, LoanBook
from keeper.core.units import Address, Hash32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lent:
    """What is lent of some assets at a block."""

    block: Hash32
    assets: frozenset[Address]
    books: tuple[LoanBook, ...]


class Lenders:
    """All that a planner borrows from."""

    def __init__(self, sources: Sequence[FlashSource]) -> None:
        """Read nothing yet."""
        self._sources = tuple(sources)
        self._lent: _Lent | None = None
        self._asked: frozenset[Address] = frozenset()
        """Whatever was ever borrowed: a book of all of it is the same for everybody."""

    async def at(self, assets: frozenset[Address], block: BlockRef) -> tuple[LoanBook, ...]:
        """Return what each lends of the assets, and perhaps of others, at ``block``."""
        lent = self._lent
        if lent is None or lent.block != block.hash or not assets <= lent.assets:
            asked = self._asked = self._asked | assets
            books = await asyncio.gather(*(one.snapshot(asked, block) for one in self._sources))
            lent = self._lent = _Lent(block=block.hash, assets=asked, books=tuple(books))
        return lent.books

    def held(self, assets: frozenset[Address]) -> tuple[LoanBook, ...] | None:
        """Return what was read last, of whatever block; None when one of the assets is missing."""
        lent = self._lent
        return None if lent is None or not assets <= lent.assets else lent.books

    async def refresh(self, block: BlockRef) -> None:
        """Read all that was ever asked for at ``block``."""
        if self._asked:
            await self.at(self._asked, block)
