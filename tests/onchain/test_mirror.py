"""The mirror equals the chain: by following, over reorgs, after failures and from checkpoints."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from keeper.core.chain import BlockRef
from keeper.core.errors import ConfigError, InvariantError, TransientError
from keeper.core.units import WAD, Address, Hash32
from keeper.core.values import replace
from keeper.devnet.actions import random_actions
from keeper.devnet.live import LiveMarket, account_data
from keeper.devnet.sender import Sender
from keeper.mirror.mirror import Checkpoint, Mirror
from keeper.mirror.snapshot import Snapshot
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition
from tests.support.aave_scene import Look, Scene, differences, open_scene
from tests.support.market_node import MarketNode, built_market, copied_market
from tests.support.watched_reader import WatchedReader

BORROWERS = 1_000
BLOCKS_REMEMBERED = 6

AaveMirror = Mirror[AaveMarket, AavePosition]
AaveSnapshot = Snapshot[AaveMarket, AavePosition]


@pytest.fixture(scope="module")
def large_market(anvil_binary: Path) -> Iterator[MarketNode]:
    with built_market(anvil_binary, seed=5, borrowers=BORROWERS) as node:
        yield node


@pytest.fixture(scope="module")
def lone_market(anvil_binary: Path) -> Iterator[MarketNode]:
    """A market that is no fork: a reorg of a forked anvil leaves later state behind."""
    with built_market(anvil_binary, seed=6, borrowers=60) as node:
        yield node


@dataclass(slots=True)
class Stand:
    """A market, and a mirror of it that remembers few blocks."""

    scene: Scene
    reader: WatchedReader
    mirror: AaveMirror

    @property
    def live(self) -> LiveMarket:
        return self.scene.live

    async def head(self) -> BlockRef:
        return await self.scene.chain.reader.head()

    async def advance(self) -> AaveSnapshot:
        return await self.mirror.advance(await self.head())

    async def advance_by_blocks(self) -> AaveSnapshot:
        last = (await self.head()).number
        for number in range(self.mirror.snapshot.block.number + 1, last + 1):
            await self.mirror.advance(await self.scene.chain.reader.block(number))
        return self.mirror.snapshot

    def restart(self, reader: WatchedReader | None = None) -> AaveMirror:
        reader = reader or WatchedReader(reader=self.scene.chain.reader)
        return Mirror(self.scene.adapter, reader, depth_blocks=BLOCKS_REMEMBERED)

    def newcomer(self, number: int) -> Address:
        """Let an ordinary account supply and borrow in one block of its own; return it."""
        live = self.live
        who, weth = live.market.accounts.actors[number], live.market.weth
        supplier = Sender.of(live.rpc, live.market.accounts.supplier)
        supplier.call(live.pool, "supply", weth, WAD, who, 0)
        supplier.mine()
        actor = Sender.of(live.rpc, who)
        actor.call(live.pool, "borrow", weth, WAD // 10, 2, 0, who)
        actor.mine()
        return who

    def borrowers(self) -> set[Address]:
        return {ref.account for ref in self.mirror.snapshot.positions}

    def rpc(self, method: str, *parameters: object) -> object:
        return self.live.rpc.call(method, *parameters)


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


@pytest.fixture
async def lone_stand(lone_market: MarketNode) -> AsyncIterator[Stand]:
    kept = lone_market.live.rpc.call("evm_snapshot")
    async with open_stand(lone_market) as opened:
        yield opened
    lone_market.live.rpc.call("evm_revert", kept)


class open_stand:  # noqa: N801 - used as a function
    """Open a scene and start a mirror on it."""

    def __init__(self, node: MarketNode) -> None:
        self._scene = open_scene(node.live, node.anvil.http_url)

    async def __aenter__(self) -> Stand:
        scene = await self._scene.__aenter__()
        reader = WatchedReader(reader=scene.chain.reader)
        mirror = Mirror(scene.adapter, reader, depth_blocks=BLOCKS_REMEMBERED)
        stand = Stand(scene, reader, mirror)
        await mirror.start(await stand.head(), None, silent)
        return stand

    async def __aexit__(self, *error: object) -> None:
        await self._scene.__aexit__(*error)


def silent(_what: str, _done: int, _of: int) -> None:
    pass


async def assert_cold(stand: Stand) -> None:
    """Assert that the mirror holds what a cold start at its block finds, no more, no less."""
    held = stand.mirror.snapshot
    cold = await stand.restart().start(held.block, None, silent)
    assert held.block == cold.block
    assert held.market == cold.market
    assert dict(held.positions) == dict(cold.positions)


async def assert_as_the_pool_says(stand: Stand) -> None:
    """Assert every account's health to the wei, and that no account with debt is missing."""
    held, scene = stand.mirror.snapshot, stand.scene
    prices = await scene.prices(held.market, held.block)
    look = Look(block=held.block, market=held.market, positions=held.positions, prices=prices)
    assert await differences(scene, look) == []
    everybody = (*stand.live.market.borrowers, *stand.live.market.accounts.actors)
    data = account_data(stand.live, everybody, hex(held.block.number))
    owing = {who for who, row in zip(everybody, data, strict=True) if row.debt_base}
    assert owing <= {ref.account for ref in held.positions}


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
