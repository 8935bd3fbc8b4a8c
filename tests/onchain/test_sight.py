"""The watch through the screen finds what the exact scan of every loan finds, on a real market."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from keeper.app.sight import Look, Sight
from keeper.core.chain import BlockRef
from keeper.devnet.actions import random_actions
from keeper.devnet.assets import ASSETS
from keeper.devnet.crash import crash
from keeper.devnet.prices import push_prices
from keeper.mirror.mirror import Mirror
from keeper.oracle.book import PriceBook
from keeper.oracle.watcher import PriceWatcher
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition
from keeper.scanner.scan import Scan, scan
from tests.support.aave_scene import Scene, open_scene
from tests.support.market_node import MarketNode, copied_market

BLOCK_S = 12


@dataclass(slots=True)
class Post:
    """A mirror, prices and the sight over them, advanced by hand."""

    scene: Scene
    mirror: Mirror[AaveMarket, AavePosition]
    watcher: PriceWatcher
    sight: Sight[AaveMarket, AavePosition]
    prices: PriceBook

    async def see_head(self) -> Look[AaveMarket, AavePosition]:
        head = await self.scene.chain.reader.head()
        self.sight.take(await self.mirror.advance(head))
        self.prices = await self.watcher.read(head, self.prices)
        look = self.sight.look(head, self.mirror.snapshot, self.prices, "test")
        await self.sight.refresh()
        return look

    def exact(self, look: Look[AaveMarket, AavePosition]) -> Scan[AaveMarket]:
        block = look.book.block
        number, timestamp = block.number + 1, block.timestamp + BLOCK_S
        return scan(
            self.scene.adapter, look.book, number=number, timestamp=timestamp, trigger="test"
        )


@pytest.fixture
async def post(anvil_binary: Path, local_market: MarketNode) -> AsyncIterator[Post]:
    with copied_market(anvil_binary, local_market) as node:
        async with open_scene(node.live, node.anvil.http_url) as scene:
            reader, adapter = scene.chain.reader, scene.adapter
            head: BlockRef = await reader.head()
            mirror: Mirror[AaveMarket, AavePosition] = Mirror(adapter, reader)
            snapshot = await mirror.start(head, None, lambda *_: None)
            watcher = PriceWatcher(reader)
            await watcher.follow(adapter.feeds(snapshot.market), head)
            prices = await watcher.read(head, None)
            sight: Sight[AaveMarket, AavePosition] = Sight(adapter, block_time_s=BLOCK_S)
            sight.take(snapshot)
            sight.look(head, snapshot, prices, "test")
            await sight.refresh()
            yield Post(scene, mirror, watcher, sight, prices)


def assert_same(found: Scan[AaveMarket], exact: Scan[AaveMarket]) -> None:
    assert sorted(found.opportunities, key=lambda one: one.ref) == sorted(
        exact.opportunities, key=lambda one: one.ref
    )
    assert sorted(found.rejections, key=lambda one: one.ref) == sorted(
        exact.rejections, key=lambda one: one.ref
    )
    healths = [one.health.health_factor for one in found.opportunities]
    assert healths == sorted(healths)


async def test_both_find_the_same_through_a_crash(post: Post):
    most = 0
    for step in crash(post.scene.live):
        if step.number % 3 == 0:
            random_actions(post.scene.live, seed=step.number, count=20)
        look = await post.see_head()
        exact = post.exact(look)
        assert_same(look.found, exact)
        assert len(look.found.health) < len(exact.health)
        most = max(most, len(exact.opportunities))
    assert most >= 10


async def test_events_are_of_interest_exactly_when_somebody_is_under_the_line(post: Post):
    answers = {"told": 0, "quiet": 0}
    price = ASSETS["WETH"].price
    for by_bps in (-10, -40, -900, -20):
        price = price * (10_000 + by_bps) // 10_000
        before = post.mirror.snapshot
        number = push_prices(post.scene.live, {"WETH": price})
        block = await post.scene.chain.reader.block(number)
        logs = await post.scene.chain.reader.logs_at(post.watcher.log_filter(), block)
        moves = post.watcher.moves(post.prices.evidence, logs)
        crossed = post.sight.glance(moves)
        told = crossed != []
        prices = post.prices
        for log in logs:
            prices = post.watcher.apply(prices, log, block)
        few = post.sight.look(block, before, prices, "test", only=crossed)
        seen = post.sight.look(block, before, prices, "test")
        exact = post.exact(seen)
        assert_same(seen.found, exact)
        assert_same(few.found, exact)
        assert (few.of_all, seen.of_all) == (False, True)
        assert told == bool(exact.opportunities or exact.rejections)
        answers["told" if told else "quiet"] += 1
        await post.see_head()
    assert answers["told"]
    assert answers["quiet"]
