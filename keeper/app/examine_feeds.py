"""Hold what a deployment's prices are read from against what is there."""

from collections.abc import AsyncIterator
from typing import Any

from keeper.app.examine_pace import idle_heartbeats
from keeper.app.finding import Finding
from keeper.app.prices import strangers, watcher_for
from keeper.chain.session import Chain
from keeper.config.settings import Settings
from keeper.core.chain import BlockRef
from keeper.core.ports import ProtocolAdapter
from keeper.core.text import decimal
from keeper.oracle.multiples import Multiples
from keeper.oracle.stand_in import StandIns


async def examine_feeds(
    settings: Settings,
    chain: Chain,
    adapter: ProtocolAdapter[Any, Any],
    market: object,
    head: BlockRef,
) -> AsyncIterator[Finding]:
    """Check that every price can be read and acted on, and that every guard is of a price."""
    watcher = watcher_for(settings, adapter.deployment, chain.reader)
    multiples = Multiples(watcher, chain.preview, StandIns(chain.reader))
    feeds = adapter.feeds(market)
    await watcher.follow(feeds, head)
    for detail in strangers(settings, adapter.deployment, watcher.following):
        yield Finding(what=f"{adapter.deployment}: guards", good=False, detail=detail)
    for detail in await idle_heartbeats(chain.reader, watcher.following.feeds, head):
        yield Finding(what=f"{adapter.deployment}: guards", good=False, detail=detail)
    book = await watcher.read(head, None)
    await multiples.find_out(book)
    nobody = adapter.refs_of(market, settings.chain.multicall3)
    for feed in feeds:  # none where no market passes the filters, nor is anybody anywhere
        what = f"{adapter.deployment}: feed {feed.label}"
        problem = book.problems.get(feed.id)
        if problem is not None:
            yield Finding(what=what, good=False, detail=problem)
            continue
        price = book.prices[feed.id]
        age = head.timestamp - price.updated_at
        how = "events" if watcher.tells(feed.id) else "read each block"
        remark = f"; {watcher.remarks[feed.id]}" if feed.id in watcher.remarks else ""
        scale = feed.scale or adapter.base_unit(market, nobody[0]).scale
        shown = decimal(price.value, scale, 8)
        yield Finding(what=what, good=True, detail=f"{shown}, {age} s old, {how}{remark}")
