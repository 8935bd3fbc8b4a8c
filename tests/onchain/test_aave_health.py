"""Health of every account, to the wei, as a real Aave V3 Pool computes it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from keeper.devnet.actions import random_actions
from keeper.devnet.crash import crash
from tests.support.aave_scene import Scene, differences, open_scene, standing_of
from tests.support.market_node import MarketNode, built_market, copied_market

BORROWERS = 1_000
ROUNDS = 4
ACTIONS = 150


@pytest.fixture(scope="module")
def large_market(anvil_binary: Path) -> Iterator[MarketNode]:
    with built_market(anvil_binary, seed=11, borrowers=BORROWERS) as node:
        yield node


@pytest.fixture
async def scene(anvil_binary: Path, large_market: MarketNode) -> AsyncIterator[Scene]:
    with copied_market(anvil_binary, large_market) as node:
        async with open_scene(node.live, node.anvil.http_url) as opened:
            yield opened


async def test_every_account_stands_as_the_pool_says_after_random_life(scene: Scene):
    look = await scene.look()
    assert len(look.positions) >= BORROWERS
    assert await differences(scene, look) == []
    for seed in range(ROUNDS):
        report = random_actions(scene.live, seed=seed, count=ACTIONS)
        assert sum(report.succeeded.values()) > ACTIONS // 2
        look = await scene.look(look.positions)
        assert await differences(scene, look) == []


async def test_following_the_logs_equals_reading_everything(scene: Scene):
    followed = await scene.look()
    for seed in range(ROUNDS):
        random_actions(scene.live, seed=100 + seed, count=ACTIONS)
        followed = await scene.follow(followed)
        cold = await scene.look(followed.positions)
        assert followed.market == cold.market
        assert set(cold.positions) == set(followed.positions)
        assert followed.positions == cold.positions
        assert await differences(scene, followed) == []


async def test_interest_is_foreseen_to_the_wei(scene: Scene):
    look = await scene.look()
    refs = sorted(look.positions)[:200]
    for wait in (1, 12, 3_600, 86_400, 2_592_000, 63_072_000):
        timestamp = look.block.timestamp + wait
        scene.live.rpc.call("evm_setNextBlockTimestamp", timestamp)
        scene.live.rpc.call("evm_mine")
        block = await scene.chain.reader.head()
        assert block.timestamp == timestamp
        view = scene.adapter.at(look.market, timestamp=timestamp, prices=look.prices)
        foreseen = [standing_of(scene.adapter.assess(view, look.positions[r])) for r in refs]
        assert foreseen == await scene.standings(block, refs)


async def test_a_crash_is_seen_as_the_pool_sees_it(scene: Scene):
    look = await scene.look()
    sick = 0
    for step in crash(scene.live):
        if step.number % 4:
            continue
        look = await scene.look()
        assert await differences(scene, look) == []
        view = scene.adapter.at(look.market, timestamp=look.block.timestamp, prices=look.prices)
        sick = sum(scene.adapter.assess(view, p).liquidatable for p in look.positions.values())
    assert sick > BORROWERS // 20
