"""The next nonces at blocks: what is in flight has run there or not. Each is asked for once."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final

from keeper.core.chain import BlockRef
from keeper.core.ports import Reader
from keeper.core.units import Address, Hash32

_KEPT: Final = 4
"""Blocks whose nonces are remembered: the head, and that which the loans at hand are of."""


class NoncesAt:
    """Reads next nonces; those at a block never change, by its hash."""

    def __init__(self, reader: Reader) -> None:
        """Know none yet."""
        self._reader = reader
        self._known: dict[Hash32, dict[Address, int]] = {}

    async def read(self, senders: Collection[Address], block: BlockRef) -> Mapping[Address, int]:
        """Return each sender's next nonce at ``block``. Raises as the reader."""
        known = self._known.setdefault(block.hash, {})
        missing = [one for one in senders if one not in known]
        found = await asyncio.gather(*(self._reader.nonce(one, block) for one in missing))
        known |= zip(missing, found, strict=True)
        while len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]
        return {one: known[one] for one in senders}
