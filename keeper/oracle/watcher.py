"""Read a deployment's prices per block, and move them at once on a feed's event."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from keeper.core.chain import BlockRef, CallResult, Log, LogFilter
from keeper.core.lending import Feed, Price
from keeper.core.ports import Reader
from keeper.core.units import Address, address_of_word
from keeper.oracle.book import PriceBook
from keeper.oracle.chainlink import (
    ANSWER_UPDATED,
    aggregator_call,
    decode_answer,
    decode_updated_at,
    round_call,
)
from keeper.oracle.guards import problem_with

_WORD = 32


class PriceWatcher:
    """Prices of one deployment."""

    def __init__(self, reader: Reader, *, heartbeats: Mapping[str, int] | None = None) -> None:
        """Make a watcher that has seen no feed.

        ``heartbeats`` sets the seconds after which a feed is stale, by its label or its source.
        """
        self._reader = reader
        self._heartbeats = dict(heartbeats or {})
        self._feeds: Mapping[str, Feed] = {}
        self._by_aggregator: Mapping[Address, tuple[str, ...]] = {}

    async def follow(self, feeds: Sequence[Feed], block: BlockRef) -> None:
        """Resolve the aggregators behind the direct feeds, so that their events can be used."""
        feeds = [self._with_heartbeat(feed) for feed in feeds]
        direct = [feed for feed in feeds if feed.direct]
        calls = [aggregator_call(feed.source) for feed in direct]
        results = await self._reader.call_many(calls, block)
        found: dict[Address, tuple[str, ...]] = {}
        for feed, result in zip(direct, results, strict=True):
            if result.success and len(result.data) == _WORD:
                key = address_of_word(result.data)
                found[key] = (*found.get(key, ()), feed.id)
        self._feeds = {feed.id: feed for feed in feeds}
        self._by_aggregator = found

    def log_filter(self) -> LogFilter:
        """Return the events that move a price."""
        return LogFilter(
            addresses=frozenset(self._by_aggregator), topics=frozenset({ANSWER_UPDATED})
        )

    async def read(self, block: BlockRef, before: PriceBook | None) -> PriceBook:
        """Read every price at ``block``, the way the protocol itself reads it."""
        feeds = list(self._feeds.values())
        calls = [feed.read for feed in feeds]
        calls += [round_call(feed.source) for feed in feeds]
        results = await self._reader.call_many(calls, block)
        prices: dict[str, Price] = {}
        problems: dict[str, str] = {}
        for feed, value, updated in zip(
            feeds, results[: len(feeds)], results[len(feeds) :], strict=True
        ):
            price = _price(value, updated, block)
            if price is None:
                problems[feed.id] = f"{feed.label}: expected a price, found a revert"
                continue
            prices[feed.id] = price
            if problem := problem_with(feed, price, block.timestamp):
                problems[feed.id] = problem
        moved = self._moved(before.prices if before else {}, prices)
        return PriceBook(block=block, prices=prices, problems=problems, moved=moved)

    def apply(self, book: PriceBook, log: Log, block: BlockRef) -> PriceBook:
        """Return the book after a feed's event in ``block``; the same when it moves nothing."""
        feeds = self._by_aggregator.get(log.address)
        if not feeds or log.removed or log.topics[0] != ANSWER_UPDATED:
            return book
        answer, updated_at = decode_answer(log)
        fresh = {
            key: Price(
                value=answer * self._feeds[key].multiplier,
                block=log.block_number,
                updated_at=updated_at,
            )
            for key in feeds
        }
        prices = {**book.prices, **fresh}
        problems = {key: why for key, why in book.problems.items() if key not in feeds}
        for key in feeds:
            if why := problem_with(self._feeds[key], fresh[key], block.timestamp):
                problems[key] = why
        earlier = book.moved if book.block == block else ""
        moved = ", ".join(filter(None, (earlier, self._moved(book.prices, prices))))
        return PriceBook(block=block, prices=prices, problems=problems, moved=moved)

    def _with_heartbeat(self, feed: Feed) -> Feed:
        """Return the feed with the configured heartbeat, when there is one."""
        configured = self._heartbeats.get(feed.label, self._heartbeats.get(feed.source))
        return feed if configured is None else replace(feed, heartbeat_s=configured)

    def _moved(self, before: Mapping[str, Price], after: Mapping[str, Price]) -> str:
        """Say which prices moved and by how much."""
        words = []
        for feed_id, price in after.items():
            old = before.get(feed_id)
            if old is not None and old.value != price.value and old.value > 0:
                percent = (price.value - old.value) * 10_000 // old.value
                words.append(f"{self._feeds[feed_id].label} {percent / 100:+.2f} %")
        return ", ".join(words)


def _price(value: CallResult, updated: CallResult, block: BlockRef) -> Price | None:
    """Return the price in a read's word; a source without rounds counts as of this block."""
    if not value.success or len(value.data) != _WORD:
        return None
    updated_at = decode_updated_at(updated.data) if updated.success else None
    return Price(
        value=int.from_bytes(value.data, "big", signed=True),
        block=block.number,
        updated_at=block.timestamp if updated_at is None else updated_at,
    )
