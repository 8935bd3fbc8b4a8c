"""Whatever the sights of the head, what is told is a chain: no gaps, and reorgs by their root."""

from collections.abc import Sequence

import msgspec
import pytest

from keeper.chain.head_tracker import HeadEvent, HeadTracker, merge_heads
from keeper.chain.records import BlockRecord
from keeper.core.chain import BlockRef
from keeper.core.errors import StaleError
from keeper.core.units import Hash32
from tests.support.fake_node import header


def block(number: int, fork: str = "a", parent_fork: str | None = None) -> BlockRef:
    written = header(number, fork=fork, parent_fork=parent_fork)
    return msgspec.convert(written, BlockRecord).value()


class FakeChain:
    """A canonical chain, and every block it ever had."""

    def __init__(self, *blocks: BlockRef) -> None:
        self.canonical: dict[int, BlockRef] = {}
        self.every: dict[Hash32, BlockRef] = {}
        self.looks = 0
        self.become(*blocks)

    def become(self, *blocks: BlockRef) -> None:
        """Replace everything from the first of these blocks on."""
        first = blocks[0].number
        self.canonical = {n: b for n, b in self.canonical.items() if n < first}
        self.canonical |= {b.number: b for b in blocks}
        self.every |= {b.hash: b for b in blocks}

    async def block(self, number: int) -> BlockRef:
        self.looks += 1
        if number not in self.canonical:
            raise StaleError("no such block")
        return self.canonical[number]

    async def block_by_hash(self, block_hash: Hash32) -> BlockRef:
        self.looks += 1
        if block_hash not in self.every:
            raise StaleError("no such block")
        return self.every[block_hash]


def line(first: int, last: int, fork: str = "a") -> list[BlockRef]:
    return [block(number, fork) for number in range(first, last + 1)]


def branch(first: int, last: int, fork: str, root: str) -> list[BlockRef]:
    return [block(first, fork, root), *line(first + 1, last, fork)]


def told(events: Sequence[HeadEvent]) -> list[tuple[int, int | None]]:
    return [(event.block.number, event.reorg_from) for event in events]


async def follow(tracker: HeadTracker, blocks: Sequence[BlockRef]) -> list[tuple[int, int | None]]:
    return told([event for one in blocks for event in await tracker.advance(one)])


async def test_each_block_of_a_growing_chain_is_told_once_without_a_look() -> None:
    chain = FakeChain(*line(10, 13))
    tracker = HeadTracker(chain)
    assert await follow(tracker, [*line(10, 13), block(13)]) == [
        (10, None), (11, None), (12, None), (13, None),
    ]  # fmt: skip
    assert chain.looks == 0


async def test_missed_blocks_are_filled_in() -> None:
    chain = FakeChain(*line(10, 15))
    tracker = HeadTracker(chain)
    assert await follow(tracker, [block(10), block(15)]) == [
        (number, None) for number in range(10, 16)
    ]


@pytest.mark.parametrize("depth", [1, 2, 5])
async def test_a_reorg_is_told_from_its_common_ancestor(depth: int) -> None:
    chain = FakeChain(*line(10, 20))
    tracker = HeadTracker(chain)
    await follow(tracker, line(10, 20))
    root = 20 - depth
    chain.become(*branch(root + 1, 21, "b", "a"))
    assert await follow(tracker, [chain.canonical[21]]) == [
        (root + 1, root), *((number, None) for number in range(root + 2, 22)),
    ]  # fmt: skip


async def test_a_reorg_at_the_same_height_is_seen_by_parent_hash() -> None:
    chain = FakeChain(*line(10, 12))
    tracker = HeadTracker(chain)
    await follow(tracker, line(10, 12))
    chain.become(*branch(11, 12, "b", "a"))
    assert await follow(tracker, branch(11, 12, "b", "a")) == [(11, 10), (12, None)]


async def test_a_reorg_and_missed_blocks_together_are_told_in_order() -> None:
    chain = FakeChain(*line(10, 12))
    tracker = HeadTracker(chain)
    await follow(tracker, line(10, 12))
    chain.become(*branch(12, 16, "b", "a"))
    assert await follow(tracker, [chain.canonical[16]]) == [
        (12, 11), (13, None), (14, None), (15, None), (16, None),
    ]  # fmt: skip


async def test_a_chain_that_became_shorter_is_told() -> None:
    chain = FakeChain(*line(10, 14))
    tracker = HeadTracker(chain)
    await follow(tracker, line(10, 14))
    chain.canonical = {number: chain.canonical[number] for number in (10, 11)}
    assert await follow(tracker, [block(11)]) == [(11, 11)]
    chain.become(*branch(12, 13, "b", "a"))
    assert await follow(tracker, branch(12, 13, "b", "a")) == [(12, None), (13, None)]


async def test_an_old_sight_of_the_same_chain_is_nothing_new() -> None:
    chain = FakeChain(*line(10, 14))
    tracker = HeadTracker(chain)
    await follow(tracker, line(10, 14))
    assert await follow(tracker, [block(12), block(14), block(15)]) == [(15, None)]


async def test_a_reorg_back_is_a_reorg_too() -> None:
    chain = FakeChain(*line(10, 12))
    tracker = HeadTracker(chain)
    await follow(tracker, line(10, 12))
    chain.become(*branch(12, 13, "b", "a"))
    await follow(tracker, branch(12, 13, "b", "a"))
    chain.become(*line(12, 14))
    assert await follow(tracker, [block(14)]) == [(12, 11), (13, None), (14, None)]


async def test_a_reorg_deeper_than_the_memory_voids_all_that_was_told() -> None:
    chain = FakeChain(*line(5, 20))
    tracker = HeadTracker(chain, depth=4)
    await follow(tracker, line(5, 20))
    chain.become(*branch(8, 21, "b", "a"))
    events = await follow(tracker, [chain.canonical[21]])
    assert events[0] == (17, 16)
    assert events[-1] == (21, None)


async def test_after_a_long_outage_only_the_newest_is_told() -> None:
    chain = FakeChain(*line(1, 50))
    tracker = HeadTracker(chain, most_filled=10)
    await follow(tracker, line(1, 3))
    chain.looks = 0
    assert await follow(tracker, [block(50)]) == [(50, None)]
    assert chain.looks == 1


async def test_after_a_long_outage_with_a_reorg_the_last_common_block_is_told() -> None:
    chain = FakeChain(*line(1, 6))
    tracker = HeadTracker(chain, most_filled=10)
    await follow(tracker, line(1, 6))
    chain.become(*branch(4, 50, "b", "a"))
    assert await follow(tracker, [chain.canonical[50]]) == [(50, 3)]


async def test_after_a_jump_a_chain_that_became_shorter_voids_all_that_was_told() -> None:
    chain = FakeChain(*line(1, 50))
    tracker = HeadTracker(chain, most_filled=10)
    await follow(tracker, [block(3), block(50)])
    chain.become(*branch(4, 20, "b", "a"))
    assert await follow(tracker, [chain.canonical[20]]) == [(20, 19)]


async def test_a_chain_that_moves_while_we_look_changes_nothing_told() -> None:
    chain = FakeChain(*line(10, 12))
    tracker = HeadTracker(chain)
    await follow(tracker, line(10, 12))
    with pytest.raises(StaleError):
        await tracker.advance(block(15, "z"))
    chain.become(*line(13, 14))
    assert await follow(tracker, [block(14)]) == [(13, None), (14, None)]


@pytest.mark.parametrize(
    ("older", "newer", "merged"), [(None, None, None), (5, None, 5), (None, 4, 4), (5, 7, 5)]
)
def test_merged_events_keep_the_deepest_reorg(
    older: int | None, newer: int | None, merged: int | None
) -> None:
    event = merge_heads(
        HeadEvent(block=block(8), reorg_from=older), HeadEvent(block=block(9), reorg_from=newer)
    )
    assert event == HeadEvent(block=block(9), reorg_from=merged)


async def test_what_leaves_the_chain_so_far_is_known_without_a_question() -> None:
    chain = FakeChain(*line(5, 7))
    tracker = HeadTracker(chain)
    assert not tracker.leaves(block(5, "b"))
    for one in line(5, 7):
        await tracker.advance(one)
    looks = chain.looks
    continuing, old = block(8), block(6)
    assert not any(tracker.leaves(one) for one in (continuing, block(7), old))
    beside, above = block(7, "b", parent_fork="a"), block(8, "b", parent_fork="b")
    assert all(tracker.leaves(one) for one in (beside, above))
    assert chain.looks == looks
