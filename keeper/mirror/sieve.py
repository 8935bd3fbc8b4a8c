"""Blocks whose header says that they hold no log of ours: those are not asked for logs.

A header's bloom filter (yellow paper 4.4.3) has three bits for every address and topic that logged;
it may say yes for nothing, never no for something. Some chains leave it empty, so it is believed
only after a node has shown logs of ours that the bloom of their block admits.
"""

from collections.abc import Iterable, Sequence

from keeper.core.chain import BlockRef, Log, LogFilter
from keeper.evm.hashing import keccak256

_BITS = 2_047


class LogSieve:
    """Knows what to look for in blooms, and whether they can be believed. One writer."""

    def __init__(self) -> None:
        """Believe nothing yet."""
        self._believed: bool | None = None
        """None until logs of ours were seen; False for ever once they were denied."""
        self._wanted: LogFilter | None = None
        self._addresses: tuple[int, ...] = ()
        self._topics: tuple[int, ...] = ()

    def excludes(self, block: BlockRef, wanted: LogFilter) -> bool:
        """Return whether the block holds no wanted log for certain."""
        if not self._believed or not block.logs_bloom:
            return False
        if wanted != self._wanted:
            self._wanted = wanted
            self._addresses, self._topics = _masks(wanted.addresses), _masks(wanted.topics)
        bloom = int(block.logs_bloom, 16)
        if not any(bloom & mask == mask for mask in self._addresses):
            return True
        return bool(self._topics) and not any(bloom & mask == mask for mask in self._topics)

    def learn(self, block: BlockRef, logs: Sequence[Log]) -> None:
        """Take the logs that a block was found to hold."""
        if not logs or not block.logs_bloom or self._believed is False:
            return
        bloom = int(block.logs_bloom, 16)
        masks = _masks({text for log in logs for text in (log.address, *log.topics)})
        self._believed = all(bloom & mask == mask for mask in masks)


def _masks(texts: Iterable[str]) -> tuple[int, ...]:
    """Return the three bits of each address or topic, as integers."""
    return tuple(_mask(bytes.fromhex(text[2:])) for text in texts)


def _mask(data: bytes) -> int:
    digest = keccak256(data)
    mask = 0
    for i in (0, 2, 4):
        mask |= 1 << (int.from_bytes(digest[i : i + 2], "big") & _BITS)
    return mask
