"""The mirror equals the chain over reorgs, and on a chain that shrinks or was set back."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from keeper.devnet.actions import random_actions
from tests.support.market_node import MarketNode, built_market
from tests.support.mirror_stand import (
    BLOCKS_REMEMBERED,
    Stand,
    assert_as_the_pool_says,
    assert_cold,
    open_stand,
    silent,
)


@pytest.fixture(scope="module")
def lone_market(anvil_binary: Path) -> Iterator[MarketNode]:
    """A market that is no fork: a reorg of a forked anvil leaves later state behind."""
    with built_market(anvil_binary, seed=6, borrowers=60) as node:
        yield node


@pytest.fixture
async def lone_stand(lone_market: MarketNode) -> AsyncIterator[Stand]:
    kept = lone_market.live.rpc.call("evm_snapshot")
    async with open_stand(lone_market) as opened:
        yield opened
    lone_market.live.rpc.call("evm_revert", kept)


@pytest.mark.parametrize("depth", [1, 3])
async def test_a_reorg_is_undone(lone_stand: Stand, depth: int):
    stand = lone_stand
    random_actions(stand.live, seed=3, count=12)
    who = stand.newcomer(0)
    followed = await stand.advance_by_blocks()
    assert who in stand.borrowers()
    stand.rpc("anvil_reorg", depth, [])
    head = await stand.head()
    assert head.number == followed.block.number
    assert head.hash != followed.block.hash
    stand.reader.ranges.clear()
    await stand.advance()
    assert stand.reader.ranges == []
    assert who not in stand.borrowers()
    await assert_cold(stand)
    await assert_as_the_pool_says(stand)


async def test_a_reorg_deeper_than_memory_reads_everything_again(lone_stand: Stand):
    stand = lone_stand
    random_actions(stand.live, seed=4, count=24)
    await stand.advance_by_blocks()
    stand.rpc("anvil_reorg", BLOCKS_REMEMBERED + 1, [])
    await stand.advance()
    assert stand.reader.ranges[-1][0] == stand.scene.adapter.start_block
    await assert_cold(stand)
    await assert_as_the_pool_says(stand)


@pytest.mark.parametrize("depth", [1, 4])
async def test_a_chain_that_shrinks_is_followed_back(lone_stand: Stand, depth: int):
    stand = lone_stand
    random_actions(stand.live, seed=6, count=20)
    followed = await stand.advance_by_blocks()
    stand.rpc("anvil_rollback", depth)
    shorter = await stand.advance()
    assert shorter.block.number == followed.block.number - depth
    await assert_cold(stand)
    stand.rpc("evm_mine")
    await stand.advance()
    await assert_cold(stand)
    await assert_as_the_pool_says(stand)


async def test_a_node_set_back_and_grown_elsewhere_is_followed(lone_stand: Stand):
    stand = lone_stand
    kept = stand.rpc("evm_snapshot")
    random_actions(stand.live, seed=8, count=12)
    await stand.advance()
    stand.rpc("evm_revert", kept)
    random_actions(stand.live, seed=9, count=12)
    await stand.advance()
    await assert_cold(stand)
    await assert_as_the_pool_says(stand)


async def test_a_checkpoint_that_was_reorged_away_is_not_trusted(lone_stand: Stand):
    stand = lone_stand
    random_actions(stand.live, seed=13, count=12)
    await stand.advance_by_blocks()
    gone = stand.mirror.checkpoint(0)
    stand.rpc("anvil_reorg", 2, [])
    stand.mirror, stand.reader.ranges = stand.restart(stand.reader), []
    await stand.mirror.start(await stand.head(), gone, silent)
    assert stand.reader.ranges[0][0] == stand.scene.adapter.start_block
    await assert_cold(stand)
