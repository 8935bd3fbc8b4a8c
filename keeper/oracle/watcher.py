"""Read a deployment's prices per block, and move them at once on a feed's event."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from keeper.core.chain import BlockRef, Call, CallResult, Log, LogFilter, LogHint
from keeper.core.errors import StaleError
from keeper.core.lending import Feed
from keeper.core.pending import PendingPrice, PendingTransaction
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.oracle.book import Evidence, PriceBook
from keeper.oracle.chainlink import (
    ANSWER_UPDATED,
    decode_answer,
    decode_round,
    glimpse_answer,
    round_call,
)
from keeper.oracle.feeds import NOTHING, FollowedFeed, Following, follow
from keeper.oracle.guards import (
    sequencer_problem,
)
from keeper.oracle.judge import Judge
from keeper.oracle.pending import decode_update
from keeper.oracle.policy import NO_POLICY, OraclePolicy
from keeper.oracle.rereading import Rereading, said_by

Said = Sequence[tuple[str, int]]
"""Feeds and what they say, in the protocol's unit."""


class _Mover(NamedTuple):
    """What an aggregator's events move."""

    direct: tuple[tuple[str, int], ...]
    """Feeds whose price is its answer, with their multipliers."""
    touched: frozenset[str]


class PriceWatcher:
    """Prices of one deployment."""

    def __init__(
        self,
        reader: Reader,
        policy: OraclePolicy = NO_POLICY,
        told: Callable[[Following], None] = lambda _: None,
    ) -> None:
        """Make a watcher that has seen no feed; ``told`` is called with what it follows anew."""
        self._reader = reader
        self._policy = policy
        self._told = told
        self._rereading = Rereading(reader)
        self._judge = Judge(following=NOTHING, policy=policy)
        self._movers: dict[str, _Mover] = {}
        self._known: frozenset[tuple[object, ...]] = frozenset()

    @property
    def following(self) -> Following:
        """Return what is followed, with what each feed is made of."""
        return self._judge.following

    @property
    def remarks(self) -> Mapping[str, str]:
        """Return what an operator should know of feeds that are sound, by feed id."""
        return self._judge.remarks

    async def follow(self, feeds: Sequence[Feed], block: BlockRef) -> None:
        """Find what the feeds are made of, so that events can be used and answers be judged."""
        following = await follow(self._reader, block, feeds, self._policy)
        self._judge = Judge(following=following, policy=self._policy)
        self._movers = {}
        self._told(following)

    async def keep_following(self, feeds: Sequence[Feed], block: BlockRef) -> None:
        """Follow the feeds, found out about anew only where they are others than before.

        Or are read in another way: a protocol may ask another oracle for the same ones.
        """
        known = frozenset(map(_followed_by, feeds))
        if known != self._known:
            await self.follow(feeds, block)
            self._known = known

    def log_filter(self) -> LogFilter:
        """Return the events that move a price."""
        return LogFilter(
            addresses=frozenset(self.following.by_aggregator), topics=frozenset({ANSWER_UPDATED})
        )

    async def read(self, block: BlockRef, before: PriceBook | None) -> PriceBook:
        """Read every price at ``block``, the way the protocol itself reads it.

        When a proxy answers from another aggregator than before, that one is followed from now on.
        """
        book = await self._read(block, before)
        if self._is_replaced(book.evidence):
            await self.follow([one.feed for one in self.following.feeds.values()], block)
            book = await self._read(block, before)
        return book

    async def block_of(
        self, log: Log, newest: BlockRef | None = None
    ) -> tuple[BlockRef, list[Log]]:
        """Return an event's block with all events in it: a block's prices are one fact.

        It is not asked for if it is the ``newest`` head. Raises StaleError when another block took
        its place.
        """
        if newest is not None and newest.hash == log.block_hash:
            return newest, await self._reader.logs_of(self.log_filter(), log.block_hash)
        block, logs = await asyncio.gather(
            self._reader.block(log.block_number),
            self._reader.logs_of(self.log_filter(), log.block_hash),
        )
        if block.hash != log.block_hash:
            raise StaleError(f"block {block.number}: expected {log.block_hash}, found {block.hash}")
        return block, logs

    async def moved(self, book: PriceBook, logs: Sequence[Log], block: BlockRef) -> PriceBook:
        """Return the book after the events in ``block``."""
        book = await self.reread(book, logs, block)
        for one in logs:
            book = self.apply(book, one, block)
        return book

    def apply(self, book: PriceBook, log: Log, block: BlockRef) -> PriceBook:
        """Return the book after a feed's event in ``block``; the same when it moves nothing.

        What an adapter makes of a feed does not follow from the event: see ``reread``.
        """
        moved = [one for one in self._touched(log) if one.moves_by_event]
        said = decode_answer(log)
        if not moved or said is None:
            return book
        answer, updated_at = said
        rounds = dict(book.evidence.rounds)
        for one in moved:
            known = rounds.get(one.leaves[0].proxy)
            if known is not None:
                rounds[one.leaves[0].proxy] = replace(known, answer=answer, updated_at=updated_at)
        values = {one.feed.id: answer * one.feed.multiplier for one in moved}
        return self._judge.updated(book, values, replace(book.evidence, rounds=rounds), block)

    async def reread(self, book: PriceBook, logs: Iterable[Log], block: BlockRef) -> PriceBook:
        """Return the book with what the events in ``block`` moved through adapters read again."""
        feeds = self._adapted(logs)
        if not feeds:
            return book
        values = await self._rereading.at(feeds, block)
        return self._judge.updated(book, values, book.evidence, block)

    def read_ahead(self, log: Log, block: BlockRef) -> None:
        """Begin what ``moved`` will read in ``block``, should the event be its only one."""
        self._rereading.begin(self._adapted([log]), block)

    def _adapted(self, logs: Iterable[Log]) -> list[Feed]:
        """Return the feeds that the events moved through adapters."""
        touched = {one.feed.id: one for log in logs for one in self._touched(log)}
        return [one.feed for one in touched.values() if not one.moves_by_event]

    def pending(self, transaction: PendingTransaction) -> PendingPrice | None:
        """Return what a pending transaction would make of these prices, None when nothing."""
        if transaction.to is None:
            return None
        update = decode_update(transaction.to, transaction.data)
        if update is None:
            return None
        feeds = self.following.feeds
        moved = [
            feeds[key]
            for key in self.following.by_aggregator.get(update.aggregator, ())
            if feeds[key].heeds(update)
        ]
        if not moved:
            return None
        known = [one.feed for one in moved if one.is_the_answer]
        return PendingPrice(
            tx_hash=transaction.hash,
            aggregator=update.aggregator,
            answer=update.answer,
            prices={feed.id: update.answer * feed.multiplier for feed in known},
            also=frozenset(one.feed.id for one in moved if not one.is_the_answer),
        )

    def foresee(self, book: PriceBook, pending: PendingPrice) -> PriceBook:
        """Return the book as the pending transaction would leave it, judged like any other."""
        values = dict(pending.prices)
        return self._judge.updated(book, values, book.evidence, book.block)

    def moves(self, log: Log) -> Mapping[str, int] | None:
        """Return the prices that an event sets by itself; None when some must be read."""
        touched, said = self._touched(log), decode_answer(log)
        if said is None or not all(one.moves_by_event for one in touched):
            return {} if said is None else None
        return {one.feed.id: said[0] * one.feed.multiplier for one in touched}

    def told(self, hint: LogHint) -> tuple[Said, frozenset[str]]:
        """Return the prices that an event sets by itself, and every feed that it may have moved."""
        answer = None if hint.removed else glimpse_answer(hint.topics)
        if answer is None:
            return (), frozenset()
        known = self._movers.get(hint.address)
        if known is None:
            known = self._movers[hint.address] = self._mover(hint.address)
        return [(key, answer * multiplier) for key, multiplier in known.direct], known.touched

    def _mover(self, aggregator: str) -> "_Mover":
        """Return what an aggregator's events mean, looked up once for each way of writing it."""
        feeds, by_aggregator = self.following.feeds, self.following.by_aggregator
        touched = [feeds[key] for key in by_aggregator.get(Address(aggregator.lower()), ())]
        own = [one.feed for one in touched if one.moves_by_event]
        return _Mover(
            direct=tuple((feed.id, feed.multiplier) for feed in own),
            touched=frozenset(one.feed.id for one in touched),
        )

    def moving_with(self, key: str) -> frozenset[str]:
        """Return every feed that an event of this one's aggregators may move, itself included."""
        following = self.following
        return frozenset(
            other
            for leaf in following.feeds[key].leaves
            for other in following.by_aggregator.get(leaf.aggregator, ())
        )

    def admits(self, book: PriceBook, key: str, value: int, block: BlockRef) -> bool:
        """Return whether a price of ``block`` could be acted on: no guard would object to it.

        ``key`` is of a feed that moves by its event.
        """
        one = self.following.feeds[key]
        proxy, known = one.leaves[0].proxy, book.evidence.rounds.get(one.leaves[0].proxy)
        if known is None:
            return False
        answer = value // one.feed.multiplier
        said = replace(known, answer=answer, updated_at=block.timestamp)
        evidence = replace(book.evidence, rounds={**book.evidence.rounds, proxy: said})
        return key not in self._judge.updated(book, {key: value}, evidence, block).problems

    def _touched(self, log: Log) -> list[FollowedFeed]:
        if log.removed or decode_answer(log) is None:
            return []
        feeds = self.following.feeds
        return [feeds[key] for key in self.following.by_aggregator.get(log.address, ())]

    def _calls(self) -> list[Call]:
        """Return all that is asked per block, in the order in which ``_read`` takes the answers."""
        following, sequencer = self.following, self._policy.sequencer
        calls = [one.feed.read for one in following.feeds.values()]
        calls += [round_call(proxy) for proxy in following.leaves]
        calls += [one.second.call for one in following.feeds.values() if one.second is not None]
        return calls if sequencer is None else [*calls, round_call(sequencer.feed)]

    async def _read(self, block: BlockRef, before: PriceBook | None) -> PriceBook:
        """Ask everything in one batch."""
        results = iter(await self._reader.call_many(self._calls(), block))
        following = self.following
        values = {key: said_by(next(results)) for key in following.feeds}
        rounds = {proxy: decode_round(next(results)) for proxy in following.leaves}
        quotes = {
            one.feed.label: value
            for key, one in following.feeds.items()
            if (value := values[key]) is not None
        }
        seconds = {
            key: one.second.value(next(results), quotes)
            for key, one in following.feeds.items()
            if one.second is not None
        }
        trouble = self._chain_problem(next(results, None), block)
        evidence = Evidence(rounds=rounds, seconds=seconds, chain=trouble)
        nothing = PriceBook(block=block, prices={}, problems={})
        return self._judge.written(nothing, values, evidence, block, before or nothing)

    def _chain_problem(self, answer: CallResult | None, block: BlockRef) -> str | None:
        sequencer = self._policy.sequencer
        if sequencer is None or answer is None:
            return None
        return sequencer_problem(decode_round(answer), sequencer.grace_s, block.timestamp)

    def _is_replaced(self, evidence: Evidence) -> bool:
        """Return whether a proxy answers from another aggregator than the one that is followed."""
        leaves = self.following.leaves
        return any(
            latest is not None and latest.phase != leaves[proxy].phase
            for proxy, latest in evidence.rounds.items()
        )


def _followed_by(feed: Feed) -> tuple[object, ...]:
    """Return how a feed is followed and read; of several markets' names for it it may have any."""
    return feed.id, feed.source, feed.underlying, feed.read, feed.direct, feed.multiplier
