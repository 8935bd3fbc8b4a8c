"""Events of feeds tell what Morpho's oracles answer, to the last digit, before they are asked."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from keeper.core.chain import BlockRef, Log
from keeper.core.pending import PendingTransaction
from keeper.core.units import Hash32
from keeper.devnet.assets import ASSETS
from keeper.devnet.morpho import LocalMorpho
from keeper.devnet.prices import push_prices
from keeper.oracle.book import PriceBook
from keeper.oracle.watcher import PriceWatcher
from tests.support.market_node import MarketNode
from tests.support.morpho_scene import Scene, morpho_node, open_scene


@pytest.fixture(scope="module")
def built(anvil_binary: Path, local_market: MarketNode) -> Iterator[tuple[MarketNode, LocalMorpho]]:
    with morpho_node(anvil_binary, local_market, borrowers=8) as made:
        yield made


@dataclass(slots=True, kw_only=True)
class Post:
    """A watcher of Morpho's oracles, at the newest block."""

    scene: Scene
    watcher: PriceWatcher
    book: PriceBook
    keys: frozenset[str]

    async def pushed(self, **answers: int) -> tuple[BlockRef, list[Log]]:
        """Submit answers in one block; return it with the events in it."""
        reader = self.scene.chain.reader
        block = await reader.block(push_prices(self.scene.local.live, answers))
        return block, await reader.logs_at(self.watcher.log_filter(), block)


@pytest.fixture
async def post(built: tuple[MarketNode, LocalMorpho]) -> AsyncIterator[Post]:
    node, local = built
    mark = node.live.rpc.call("evm_snapshot")
    async with open_scene(node, local) as scene:
        look = await scene.look()
        watcher = PriceWatcher(scene.chain.reader)
        feeds = scene.adapter.feeds(look.market)
        await watcher.follow(feeds, look.block)
        book = await watcher.read(look.block, None)
        yield Post(scene=scene, watcher=watcher, book=book, keys=frozenset(one.id for one in feeds))
    node.live.rpc.call("evm_revert", mark)


async def test_events_tell_what_the_oracles_answer(post: Post, parity_report: list[str]) -> None:
    random, told = Random(11), 0  # noqa: S311 - prices, not secrets
    assert all(map(post.watcher.telling.tells, post.keys))
    for _ in range(40):
        symbols = random.sample(sorted(ASSETS), random.randint(1, 4))
        block, logs = await post.pushed(
            **{one: ASSETS[one].price * random.randint(1, 40_000) // 10_000 + 1 for one in symbols}
        )
        moves = post.watcher.moves(post.book.evidence, logs)
        by_events = await post.watcher.moved(post.book, logs, block)
        post.book = await post.watcher.read(block, post.book)
        assert moves is not None
        assert moves == {key: post.book.prices[key].value for key in moves}
        assert by_events.prices.keys() == post.book.prices.keys()
        for key in moves:
            assert by_events.prices[key] == post.book.prices[key]
        told += len(moves)
    assert told > 100
    parity_report.append(f"prices of Morpho's oracles told by events: {told}")


async def test_a_guess_by_an_event_is_the_book_of_its_block(post: Post) -> None:
    block, logs = await post.pushed(WETH=2_345 * 10**8)
    guess = post.book
    for log in logs:
        guess = post.watcher.apply(guess, log, block)
    found = await post.watcher.moved(post.book, logs, block)
    assert (guess.prices, guess.problems) == (found.prices, found.problems)
    assert guess.prices != post.book.prices


async def test_a_pending_update_foretells_what_it_makes_of_them(post: Post) -> None:
    aggregator, answer = post.scene.local.live.aggregators["WETH"], 1_234 * 10**8
    update = PendingTransaction(
        hash=Hash32("0x" + "ab" * 32),
        sender=aggregator.address,
        to=aggregator.address,
        data=aggregator.encode("submit", 9, answer),
    )
    pending = post.watcher.pending(update)
    assert pending is not None
    assert pending.also == frozenset()
    block, _ = await post.pushed(WETH=answer)
    book = await post.watcher.read(block, post.book)
    assert pending.prices == {key: book.prices[key].value for key in pending.prices}
    assert len(pending.prices) > 2
