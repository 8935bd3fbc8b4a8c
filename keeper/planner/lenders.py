"""What lenders lend at one block, read once for it however often it is planned."""

import asyncio
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.ports import FlashSource, LoanBook
from keeper.core.units import Address, Hash32

_REMEMBERED_BLOCKS: Final = 300
"""So long something that was borrowed is read with the rest."""


class _Lent(Struct, frozen=True, kw_only=True):
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
        self._wanted: dict[Address, int] = {}
        """What was borrowed, with the newest block at which it was: a book of all of it is the same
        for everybody."""

    async def at(self, assets: frozenset[Address], block: BlockRef) -> tuple[LoanBook, ...]:
        """Return what each lends of the assets, and perhaps of others, at ``block``."""
        self._wanted |= dict.fromkeys(assets, block.number)
        return await self._read(assets, block)

    def held(self, assets: frozenset[Address]) -> tuple[LoanBook, ...] | None:
        """Return what was read last, of whatever block; None when one of the assets is missing."""
        lent = self._lent
        return None if lent is None or not assets <= lent.assets else lent.books

    async def refresh(self, block: BlockRef) -> None:
        """Read all that was lately asked for at ``block``."""
        if wanted := self._lately(block):
            await self._read(wanted, block)

    async def _read(self, assets: frozenset[Address], block: BlockRef) -> tuple[LoanBook, ...]:
        lent = self._lent
        if lent is None or lent.block != block.hash or not assets <= lent.assets:
            wanted = self._lately(block) | assets
            books = await asyncio.gather(*(one.snapshot(wanted, block) for one in self._sources))
            lent = self._lent = _Lent(block=block.hash, assets=wanted, books=tuple(books))
        return lent.books

    def _lately(self, block: BlockRef) -> frozenset[Address]:
        """Return what was asked for in the last blocks; the rest is forgotten."""
        oldest = block.number - _REMEMBERED_BLOCKS
        self._wanted = {one: number for one, number in self._wanted.items() if number > oldest}
        return frozenset(self._wanted)
