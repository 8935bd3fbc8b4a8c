"""From sights of the head to a chain without gaps: back-fill and reorgs by parent hash."""

from typing import Protocol

from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.errors import StaleError
from keeper.core.units import Hash32
from keeper.runtime.parallel import each

_AT_ONCE = 8


class HeadEvent(Struct, frozen=True, kw_only=True):
    """A new head.

    ``reorg_from`` is None when the block only adds to the chain. Else it is the number of the
    last block that is still canonical: everything above it that was told before is void. A head
    whose number is ``reorg_from`` itself is a chain that became shorter. Numbers may jump after
    a long outage: the blocks between were not told one by one.
    """

    block: BlockRef
    reorg_from: int | None = None


def merge_heads(older: HeadEvent, newer: HeadEvent) -> HeadEvent:
    """Return one event that says what both say, for a mailbox of one slot."""
    marks = [one.reorg_from for one in (older, newer) if one.reorg_from is not None]
    return HeadEvent(block=newer.block, reorg_from=min(marks, default=None))


class Headers(Protocol):
    """Where missing blocks are looked up. Raises StaleError for a block that is not there."""

    async def block(self, number: int) -> BlockRef:
        """Return the canonical block at ``number``."""
        ...

    async def block_by_hash(self, block_hash: Hash32) -> BlockRef:
        """Return a block by its hash."""
        ...


class HeadTracker:
    """Keeps the last blocks of the canonical chain and tells what a sight of the head changes."""

    def __init__(self, headers: Headers, *, depth: int = 256, most_filled: int = 512) -> None:
        self._headers = headers
        self._depth = depth
        self._most_filled = most_filled
        self._known: dict[Hash32, BlockRef] = {}
        """Canonical blocks, oldest first, each the parent of the next."""

    def leaves(self, seen: BlockRef) -> bool:
        """Return whether a sight of the head is none that continues, or is of, the chain so far."""
        tip = next(reversed(self._known.values()), None)
        return tip is not None and seen.parent_hash != tip.hash and seen.hash not in self._known

    async def advance(self, seen: BlockRef) -> list[HeadEvent]:
        """Return the events that lead from the last head told to ``seen``, oldest first.

        Raises StaleError when the chain moves meanwhile; nothing is remembered then.
        """
        tip = next(reversed(self._known.values()), None)
        if tip is None:
            return self._accept([], [seen], None)
        if seen.hash == tip.hash:
            return []
        if seen.parent_hash == tip.hash:
            return self._accept(list(self._known.values()), [seen], None)
        if seen.number <= tip.number and await self._is_canonical(tip):
            return []  # an old sight, as of a node that lags behind
        if seen.number - tip.number > self._most_filled:
            return await self._jump(tip, seen)
        return await self._join(tip, seen)

    async def _is_canonical(self, block: BlockRef) -> bool:
        try:
            found = await self._headers.block(block.number)
        except StaleError:
            return False
        return found.hash == block.hash

    async def _join(self, tip: BlockRef, seen: BlockRef) -> list[HeadEvent]:
        """Walk from ``seen`` back to a block that is known."""
        oldest = next(iter(self._known.values()))
        missing = range(tip.number + 1, seen.number)
        fetched = await each(missing, self._headers.block, at_once=_AT_ONCE)
        by_hash = {block.hash: block for block in fetched}
        branch: list[BlockRef] = []
        at = seen
        while at.hash not in self._known:
            branch.insert(0, at)
            if at.number <= oldest.number:
                return self._accept([], branch, at.number - 1)
            at = by_hash.get(at.parent_hash) or await self._headers.block_by_hash(at.parent_hash)
        kept = [block for block in self._known.values() if block.number <= at.number]
        if not branch:
            return self._accept(kept[:-1], [at], at.number)
        return self._accept(kept, branch, None if at.hash == tip.hash else at.number)

    async def _jump(self, tip: BlockRef, seen: BlockRef) -> list[HeadEvent]:
        """Tell only ``seen``: too much was missed to tell each block."""
        reorg_from = None
        if not await self._is_canonical(tip):
            reorg_from = await self._last_canonical()
        return self._accept([], [seen], reorg_from)

    async def _last_canonical(self) -> int:
        for block in reversed(self._known.values()):
            if await self._is_canonical(block):
                return block.number
        return next(iter(self._known.values())).number - 1

    def _accept(
        self, kept: list[BlockRef], branch: list[BlockRef], reorg_from: int | None
    ) -> list[HeadEvent]:
        chain = [*kept, *branch][-self._depth :]
        self._known = {block.hash: block for block in chain}
        first, *rest = branch
        told = [HeadEvent(block=first, reorg_from=reorg_from)]
        return told + [HeadEvent(block=block) for block in rest]
