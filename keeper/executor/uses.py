"""Whether the nonces of what never ran are used, and since which head that is known."""

from collections.abc import Collection
from typing import Final

import structlog

from keeper.core.chain import BlockRef
from keeper.core.errors import RefusedError, StaleError
from keeper.core.plan import Submission
from keeper.core.ports import Reader
from keeper.core.units import Address, Hash32

log = structlog.get_logger()

NONCE_UNTOLD: Final = "nonce.untold"
"""Nodes tell it otherwise, or not at all; the next head asks again."""

_Key = tuple[Address, int]


class Uses:
    """The nonces of some transactions, as of the head that was looked at last."""

    def __init__(self, reader: Reader) -> None:
        """Make one that knows nothing."""
        self._reader = reader
        self._since: dict[_Key, BlockRef] = {}
        """Used ones, with the first head at which they were found so."""
        self._free: set[_Key] = set()

    async def look(self, head: BlockRef, signed: Collection[Submission]) -> None:
        """Ask which nonces of the transactions are used at ``head``."""
        counts = {
            sender: await self._count(sender, head) for sender in {one.sender for one in signed}
        }
        keys = {_key(one): counts[one.sender] for one in signed}
        self._free = {key for key, count in keys.items() if count is not None and key[1] >= count}
        self._since = {
            key: self._since.get(key, head)
            for key, count in keys.items()
            if count is not None and key[1] < count
        }

    async def _count(self, sender: Address, head: BlockRef) -> int | None:
        try:
            return await self._reader.nonce(sender, head)
        except (StaleError, RefusedError) as error:
            log.warning(NONCE_UNTOLD, sender=sender, why=str(error))
            return None

    def is_free(self, one: Submission) -> bool:
        """Return whether nothing has used a transaction's nonce."""
        return _key(one) in self._free

    def is_used(self, one: Submission) -> bool:
        """Return whether something has; neither of the two is true where it was not told."""
        return _key(one) in self._since

    def since(self, one: Submission) -> BlockRef:
        """Return the head at which a used nonce was first found so."""
        return self._since[_key(one)]

    def gone(self, block: Hash32) -> None:
        """Forget what was found at a block that a reorg took back."""
        self._since = {key: one for key, one in self._since.items() if one.hash != block}


def _key(one: Submission) -> _Key:
    return one.sender, one.nonce
