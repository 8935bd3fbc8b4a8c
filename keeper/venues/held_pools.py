"""Pools held from block to block: their logs say which changed, and those are read again.

What a log says of a pool is not believed: it only names the pool, whose state is then read, pinned
to the block. A block that is not the child of the one held is a gap or a reorg: all is read again.
What nobody asks for is forgotten after a while: an exchange's pools change with every block.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Generic, Protocol, TypeVar

from keeper.core.chain import BlockRef, LogFilter
from keeper.core.ports import Reader
from keeper.core.units import Address, Hash32

_REMEMBERED_BLOCKS: Final = 300
"""So long a pool that was asked for is read again with each block in which it changed."""


class Keyed(Protocol):
    """What of a pool never changes."""

    @property
    def address(self) -> Address:
        """Where the pool is."""
        ...


K = TypeVar("K", bound=Keyed)
S = TypeVar("S")

Read = Callable[[Sequence[K], BlockRef], Awaitable[Mapping[Address, S | None]]]
"""Reads pools' states at a block; None of a pool that has none yet."""


class HeldPools(Generic[K, S]):
    """The states of a venue's pools at one block. One caller at a time moves them to another."""

    def __init__(self, reader: Reader, topics: frozenset[Hash32], read: Read[K, S]) -> None:
        """Hold pools whose every change emits a log with one of the topics."""
        self._reader = reader
        self._topics = topics
        self._read = read
        self._asked: dict[Address, tuple[K, int]] = {}
        """Each pool, with the newest block at which it was asked for."""
        self._states: dict[Address, S | None] = {}
        self._block: BlockRef | None = None
        self._turn = asyncio.Lock()

    async def at(self, keys: Sequence[K], block: BlockRef) -> dict[Address, S]:
        """Return the states at ``block`` of the pools that have one, reading what is not known."""
        async with self._turn:
            self._asked |= {key.address: (key, block.number) for key in keys}
            await self._bring(block)
            await self._fill(keys, block)
            return self._present(keys)

    def now(self, keys: Sequence[K]) -> dict[Address, S] | None:
        """Return the states that are held just now, as ``at``; None when one is not."""
        is_held = all(key.address in self._states for key in keys)
        return self._present(keys) if is_held else None

    def _present(self, keys: Sequence[K]) -> dict[Address, S]:
        """Return the states of the pools that have one; every pool must be held."""
        found = ((key.address, self._states[key.address]) for key in keys)
        return {pool: state for pool, state in found if state is not None}

    async def refresh(self, block: BlockRef) -> None:
        """Bring every pool that was lately asked for to ``block``, and forget the others."""
        async with self._turn:
            oldest = block.number - _REMEMBERED_BLOCKS
            self._asked = {pool: one for pool, one in self._asked.items() if one[1] > oldest}
            self._states = {pool: s for pool, s in self._states.items() if pool in self._asked}
            await self._bring(block)
            await self._fill([key for key, _ in self._asked.values()], block)

    async def _bring(self, block: BlockRef) -> None:
        """Forget the states that may be different at ``block``."""
        held = self._block
        if held is None or held.hash == block.hash:
            self._block = block
            return
        changed = await self._changed(held, block)
        self._states = {pool: s for pool, s in self._states.items() if pool not in changed}
        self._block = block

    async def _changed(self, held: BlockRef, block: BlockRef) -> set[Address]:
        if block.parent_hash != held.hash or not self._states:
            return set(self._states)
        wanted = LogFilter(addresses=frozenset(self._states), topics=self._topics)
        return {log.address for log in await self._reader.logs_at(wanted, block)}

    async def _fill(self, keys: Sequence[K], block: BlockRef) -> None:
        missing = [key for key in keys if key.address not in self._states]
        if missing:
            self._states |= await self._read(missing, block)
