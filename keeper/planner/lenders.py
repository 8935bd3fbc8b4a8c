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

    async def at(self, assets: frozenset[Address], block: BlockRef) -> tuple[LoanBook, ...]:
        """Return what each lends of the assets, and perhaps of others, at ``block``."""
        lent = self._lent
        if lent is None or lent.block != block.hash or not assets <= lent.assets:
            books = await asyncio.gather(*(one.snapshot(assets, block) for one in self._sources))
            lent = self._lent = _Lent(block=block.hash, assets=assets, books=tuple(books))
        return lent.books
