"""A price event's block is read with all events in it, and only while it is that block."""

from dataclasses import dataclass
from typing import Any

import pytest

from keeper.core.chain import BlockRef, Log, LogFilter
from keeper.core.errors import StaleError
from keeper.core.units import Address, Hash32
from keeper.core.values import replace
from keeper.oracle.watcher import PriceWatcher
from tests.support.ledger_records import block

LOG = Log(
    address=Address("0x" + "0a" * 20),
    topics=(),
    data=b"",
    block_number=7,
    block_hash=block(7).hash,
    tx_hash=Hash32("0x" + "01" * 32),
    index=0,
)
OTHER = replace(LOG, index=3)


@dataclass
class Node:
    """Tells one block, and the logs of the event's."""

    canonical: BlockRef

    async def block(self, number: int) -> BlockRef:
        assert number == LOG.block_number
        return self.canonical

    async def logs_of(self, _: LogFilter, block_hash: Hash32) -> list[Log]:
        assert block_hash == LOG.block_hash
        return [LOG, OTHER]


async def test_all_events_of_the_block_come_with_it() -> None:
    node: Any = Node(canonical=block(7))
    assert await PriceWatcher(node).block_of(LOG) == (block(7), [LOG, OTHER])


async def test_an_event_of_a_block_that_another_replaced_is_left_to_the_head() -> None:
    node: Any = Node(canonical=replace(block(7), hash=block(8).hash))
    with pytest.raises(StaleError, match=f"block 7: expected {LOG.block_hash}"):
        await PriceWatcher(node).block_of(LOG)


async def test_the_newest_head_is_not_asked_for() -> None:
    nobody: Any = None
    node: Any = Node(canonical=nobody)
    assert await PriceWatcher(node).block_of(LOG, block(7)) == (block(7), [LOG, OTHER])
    with pytest.raises(AttributeError):  # another head is: it is asked, and tells nothing here
        await PriceWatcher(node).block_of(LOG, block(6))
