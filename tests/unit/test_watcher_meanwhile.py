"""Prices are read of the feeds that were asked for, whichever others are followed meanwhile."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from keeper.app.books import Appraiser
from keeper.core.chain import BlockRef, Call, CallResult, Log
from keeper.core.lending import Feed
from keeper.core.ports import Reader
from keeper.core.units import WAD, Address, Hash32
from keeper.evm.words import selector
from keeper.oracle.chainlink import ANSWER_UPDATED
from keeper.oracle.reference import ReferencePrices
from keeper.oracle.watcher import PriceWatcher
from keeper.protocols.morpho_blue.adapter import MorphoAdapter
from keeper.protocols.morpho_blue.parameters import Parameters
from tests.support.ledger_records import account, block
from tests.support.morpho_market import MARKETS, MORPHO, PRICES, WBTC, WETH, deployment, ref
from tests.support.scripted_reader import ScriptedReader, words

PRICE = selector("price()")
ROUND = selector("latestRoundData()")
ADAPTER = MorphoAdapter(deployment="m", start_block=0, parameters=Parameters(morpho=MORPHO))
FIRST, SECOND, THIRD = (account(number) for number in range(1, 4))
PROXY = account(4)
NOW: BlockRef = block(1)


@dataclass(slots=True, kw_only=True)
class Gated(ScriptedReader):
    """Waits before it answers, where it is told to."""

    gate: asyncio.Event | None = None
    is_asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def call_many(self, calls: Sequence[Call], block: BlockRef) -> list[CallResult]:
        gate, self.gate = self.gate, None
        if gate is not None:
            self.is_asked.set()
            await gate.wait()
        return await ScriptedReader.call_many(self, calls, block)


def feed(oracle: Address) -> Feed:
    return Feed(
        id=oracle,
        label=oracle[-2:],
        read=Call(to=oracle, data=PRICE),
        source=oracle,
        direct=False,
        underlying=(PROXY,),
    )


def reader(phase: int = 1) -> Gated:
    prices = {(one, PRICE): words(int(one, 16)) for one in (FIRST, SECOND, THIRD)}
    return Gated(answers=prices | {(PROXY, ROUND): words(phase << 64, 7, 1, 1, 1)})


def watcher_of(node: Gated) -> PriceWatcher:
    return PriceWatcher(cast("Reader", node))


async def meanwhile(node: Gated, watcher: PriceWatcher, work: Any, *feeds: Address) -> Any:
    """Do the work, and follow other feeds while the node is asked."""
    node.gate = gate = asyncio.Event()
    doing = asyncio.ensure_future(work)
    await node.is_asked.wait()
    await watcher.keep_following([feed(one) for one in feeds], NOW)
    gate.set()
    return await doing


async def test_a_read_is_of_the_feeds_that_were_asked_for() -> None:
    for others in ((FIRST, THIRD), (THIRD,), (FIRST, SECOND, THIRD)):
        node = reader()
        watcher = watcher_of(node)
        await watcher.keep_following([feed(FIRST), feed(SECOND)], NOW)
        book = await meanwhile(node, watcher, watcher.read(NOW, None), *others)
        assert {key: one.value for key, one in book.prices.items()} == {FIRST: 1, SECOND: 2}
        assert book.problems == {}


async def test_an_event_moves_a_feed_that_is_gone_when_it_was_asked() -> None:
    node = reader()
    watcher = watcher_of(node)
    await watcher.keep_following([feed(FIRST), feed(SECOND)], NOW)
    before = await watcher.read(NOW, None)
    log = Log(
        address=PROXY,
        topics=(ANSWER_UPDATED, Hash32(f"0x{9:064x}"), Hash32(f"0x{1:064x}")),
        data=words(1),
        block_number=1,
        block_hash=NOW.hash,
        tx_hash=NOW.hash,
        index=0,
    )
    book = await meanwhile(node, watcher, watcher.moved(before, [log], NOW), SECOND)
    assert {key: one.value for key, one in book.prices.items()} == {FIRST: 1, SECOND: 2}


async def test_prices_of_an_older_block_change_nothing_of_what_is_followed() -> None:
    """Its aggregators may be others: what is followed is what emits now."""
    market = MARKETS[1]
    oracle = market.params.oracle
    node = reader(phase=2)
    watcher = watcher_of(node)
    await watcher.keep_following([feed(oracle)], NOW)
    followed = watcher.following
    node.answers = reader(phase=1).answers | {(oracle, PRICE): words(PRICES[oracle])}
    reference = ReferencePrices(cast("Reader", node), {})
    appraiser = Appraiser[Any, Any](ADAPTER, watcher, reference, WETH.address)
    appraiser.take(deployment(early=()))
    found = await appraiser.at_block(NOW, ref(market.id))
    assert found.wei_floor(WBTC.address, 10**8) == 15 * WAD
    assert watcher.following is followed
