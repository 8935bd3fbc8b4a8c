"""The blocks before a first look are read at once, a few at a time, and judged in their order."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from keeper.core.chain import BlockRef, Log, LogFilter
from keeper.core.errors import StaleError, TransientError
from keeper.oracle.book import PriceBook
from keeper.oracle.looking_back import Judged, book_before
from tests.support.ledger_records import block
from tests.unit.test_price_block import LOG

NOTHING = LogFilter(addresses=frozenset(), topics=frozenset())


@dataclass(slots=True)
class Node:
    """A node that answers the newest of the questions that it has first."""

    moved: Sequence[int]
    pruned: frozenset[int] = frozenset()
    asked: list[int] = field(default_factory=list)
    waiting: int = 0
    most: int = 0
    judged: list[int] = field(default_factory=list)

    async def logs_between(self, _: LogFilter, first: int, last: int) -> list[Log]:
        logs: Any = [Moved(number) for number in self.moved if first <= number <= last]
        return list(logs)

    async def block(self, number: int) -> BlockRef:
        return block(number)

    async def read(self, at: BlockRef) -> Judged:
        self.asked.append(at.number)
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        for _ in range(200 - at.number):
            await asyncio.sleep(0)
        self.waiting -= 1
        if at.number in self.pruned:
            raise StaleError("missing trie node")

        def judged(before: PriceBook | None) -> PriceBook:
            assert (before.block.number if before else None) == (self.judged or [None])[-1]
            self.judged.append(at.number)
            return PriceBook(block=at, prices={}, problems={})

        return judged

    async def before(self, number: int, blocks: int) -> PriceBook | None:
        reader: Any = self
        return await book_before(reader, NOTHING, block(number), blocks, self.read)


@dataclass(frozen=True)
class Moved:
    block_number: int = LOG.block_number


async def test_they_are_read_at_once_and_judged_one_after_the_other() -> None:
    node = Node(moved=(97, 99))
    found = await node.before(100, 5)
    assert node.most == 5
    assert node.judged == [95, 96, 97, 98, 99]
    assert found is not None
    assert found.block.number == 99


async def test_only_so_many_are_read_at_one_time() -> None:
    node = Node(moved=range(1, 101))
    await node.before(100, 100)
    assert node.judged == list(range(100))
    assert node.most == 8


async def test_what_the_node_has_no_state_of_is_left_out() -> None:
    node = Node(moved=(97, 99), pruned=frozenset({95, 96}))
    await node.before(100, 5)
    assert node.judged == [97, 98, 99]


async def test_a_node_that_does_not_answer_leaves_no_leap_unjudged() -> None:
    class Away(Node):
        async def block(self, number: int) -> BlockRef:
            if number == 98:
                raise TransientError("no answer")
            return block(number)

    with pytest.raises(TransientError, match="no answer"):
        await Away(moved=(97, 99)).before(100, 5)
