"""The mirror equals the chain: by following, after failures and from checkpoints."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from keeper.core.errors import ConfigError, InvariantError, TransientError
from keeper.core.units import Hash32
from keeper.core.values import replace
from keeper.devnet.actions import random_actions
from keeper.mirror.checkpoint import Checkpoint
from keeper.mirror.mirror import Mirror
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition
from tests.support.market_node import MarketNode, built_market, copied_market
from tests.support.mirror_stand import (
    BLOCKS_REMEMBERED,
    Stand,
    assert_as_the_pool_says,
    assert_cold,
    open_stand,
    silent,
)
from tests.support.watched_reader import Behind

BORROWERS = 1_000


@pytest.fixture(scope="module")
def large_market(anvil_binary: Path) -> Iterator[MarketNode]:
    with built_market(anvil_binary, seed=5, borrowers=BORROWERS) as node:
        yield node


@pytest.fixture
async def stand(anvil_binary: Path, local_market: MarketNode) -> AsyncIterator[Stand]:
    with copied_market(anvil_binary, local_market) as node:
        async with open_stand(node) as opened:
            yield opened


@pytest.fixture
async def large_stand(anvil_binary: Path, large_market: MarketNode) -> AsyncIterator[Stand]:
    with copied_market(anvil_binary, large_market) as node:
        async with open_stand(node) as opened:
            yield opened


async def test_a_large_market_is_followed_to_the_wei_through_random_life(large_stand: Stand):
    stand = large_stand
    assert len(stand.mirror.snapshot.positions) >= BORROWERS * 9 // 10
    await assert_as_the_pool_says(stand)
    done: set[str] = set()
    for seed in range(3):
        report = random_actions(stand.live, seed=seed, count=90)
        done |= report.succeeded.keys()
        await (stand.advance_by_blocks() if seed % 2 else stand.advance())
        await assert_cold(stand)
        await assert_as_the_pool_says(stand)
    assert done >= {
        "supply",
        "borrow",
        "repay",
        "withdraw",
        "transfer aTokens",
        "toggle collateral",
        "change eMode",
        "liquidate",
        "move a price",
        "pass time",
    }


async def test_a_quiet_block_costs_no_read_of_positions(stand: Stand):
    before = stand.mirror.snapshot
    stand.rpc("evm_mine")
    stand.reader.reads = 0
    after = await stand.advance()
    assert after.block.number == before.block.number + 1
    assert dict(after.positions) == dict(before.positions)
    assert stand.reader.reads <= 2
    await assert_cold(stand)


async def test_blocks_missed_beyond_memory_are_read_from_the_oldest_remembered(stand: Stand):
    who = stand.newcomer(2)
    first = stand.mirror.snapshot.block.number
    await stand.advance_by_blocks()
    random_actions(stand.live, seed=10, count=40)
    head = await stand.head()
    assert head.number - first > BLOCKS_REMEMBERED
    stand.reader.ranges.clear()
    await stand.advance()
    assert stand.reader.ranges == [(first + 1, head.number)]
    assert who in stand.borrowers()
    await assert_cold(stand)
    await assert_as_the_pool_says(stand)


async def test_a_restart_from_a_checkpoint_equals_a_cold_start(stand: Stand):
    who = stand.newcomer(1)
    random_actions(stand.live, seed=11, count=16)
    await stand.advance_by_blocks()
    checkpoint = stand.mirror.checkpoint(3)
    assert checkpoint.block == stand.mirror.snapshot.block.number - 3
    assert who in {ref.account for ref in checkpoint.accounts}
    random_actions(stand.live, seed=12, count=24)
    head = await stand.head()
    stand.mirror, stand.reader.ranges = stand.restart(stand.reader), []
    await stand.mirror.start(head, checkpoint, silent)
    assert stand.reader.ranges == [(checkpoint.block + 1, head.number)]
    assert who in stand.borrowers()
    await assert_cold(stand)
    await assert_as_the_pool_says(stand)


async def test_a_checkpoint_at_the_head_needs_no_logs(stand: Stand):
    checkpoint = stand.mirror.checkpoint(0)
    stand.mirror, stand.reader.ranges = stand.restart(stand.reader), []
    await stand.mirror.start(await stand.head(), checkpoint, silent)
    assert stand.reader.ranges == []
    await assert_cold(stand)


async def test_accounts_of_another_contract_under_the_same_name_are_left_out(stand: Stand):
    """The database keeps them: they are not read as if they were of this one."""
    checkpoint = stand.mirror.checkpoint(0)
    moved = {replace(ref, market="0x" + "ab" * 20) for ref in checkpoint.accounts}
    both = replace(checkpoint, accounts={*checkpoint.accounts, *moved})
    stand.mirror = stand.restart(stand.reader)
    await stand.mirror.start(await stand.head(), both, silent)
    await assert_cold(stand)


async def test_a_checkpoint_above_the_head_is_not_trusted(stand: Stand):
    head = await stand.head()
    ahead = Checkpoint(block=head.number + 5, hash=Hash32("0x" + "ab" * 32), accounts=frozenset())
    stand.mirror, stand.reader.ranges = stand.restart(stand.reader), []
    await stand.mirror.start(head, ahead, silent)
    assert stand.reader.ranges[0][0] == stand.scene.adapter.start_block
    await assert_cold(stand)


async def test_a_deployment_that_begins_after_the_head_is_refused(stand: Stand):
    """It would look like one without loans."""
    head = await stand.head()
    late = replace(stand.scene.adapter, start_block=head.number + 1)
    mirror: Mirror[AaveMarket, AavePosition] = Mirror(late, stand.reader)
    with pytest.raises(ConfigError, match=f"start_block: .*{head.number}.*found {head.number + 1}"):
        await mirror.start(head, None, silent)


async def test_a_read_that_fails_leaves_the_mirror_as_it_was(stand: Stand):
    random_actions(stand.live, seed=14, count=12)
    before = stand.mirror.snapshot
    kept = stand.mirror.checkpoint(0)
    failures = 0
    while True:
        stand.reader.fail_in = failures
        try:
            await stand.advance()
        except TransientError:
            failures += 1
            assert stand.mirror.snapshot is before
            assert stand.mirror.checkpoint(0) == kept
            continue
        break
    assert failures > 10
    await assert_cold(stand)
    await assert_as_the_pool_says(stand)


async def test_a_start_that_fails_leaves_no_half_of_a_mirror(stand: Stand):
    stand.mirror = stand.restart(stand.reader)
    stand.reader.fail_in = 4
    head = await stand.head()
    with pytest.raises(TransientError):
        await stand.mirror.start(head, None, silent)
    with pytest.raises(InvariantError, match="before it was started"):
        _ = stand.mirror.snapshot
    await stand.mirror.start(head, None, silent)
    await assert_cold(stand)


@pytest.mark.parametrize("way", ["cold", "checkpoint", "book"])
async def test_who_borrows_in_the_newest_blocks_is_found_though_ranges_lack_them(
    stand: Stand, way: str
):
    held, anchor = stand.mirror.snapshot.positions, stand.mirror.checkpoint(0)
    who = stand.newcomer(1)
    stand.mirror = stand.restart(Behind(reader=stand.scene.chain.reader))
    if way == "book":
        assert await stand.mirror.resume(await stand.head(), anchor, held)
    else:
        await stand.mirror.start(await stand.head(), None if way == "cold" else anchor, silent)
    assert who in stand.borrowers()
    await assert_cold(stand)
