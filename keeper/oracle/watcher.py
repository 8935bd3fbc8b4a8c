"""Read a deployment's prices per block, and move them at once on a feed's event."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from keeper.core.chain import BlockRef, Call, CallResult, Log, LogFilter
from keeper.core.errors import StaleError
from keeper.core.lending import Feed, Formula
from keeper.core.pending import PendingPrice, PendingTransaction
from keeper.core.ports import Prices, Reader
from keeper.core.values import replace
from keeper.oracle.announced import foretold_in, heard_in, said_in, tells_answer
from keeper.oracle.book import Evidence, PriceBook
from keeper.oracle.chainlink import ANSWER_UPDATED, decode_round, round_call
from keeper.oracle.feeds import (
    NOTHING,
    FollowedFeed,
    Following,
    follow,
    followed_by,
    following_of,
    reckoned_by,
)
from keeper.oracle.guards import sequencer_problem
from keeper.oracle.judge import Judge
from keeper.oracle.looking_back import Judged, book_before
from keeper.oracle.pending import decode_update
from keeper.oracle.policy import NO_POLICY, OraclePolicy
from keeper.oracle.rereading import Rereading, said_by
from keeper.oracle.sources import PROBE_GAS
from keeper.oracle.telling import Telling


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
        self.telling = Telling()
        """What events tell before anything is read."""
        self._known: frozenset[tuple[object, ...]] = frozenset()

    @property
    def following(self) -> Following:
        """Return what is followed, with what each feed is made of."""
        return self._judge.following

    def followed(self, key: str) -> FollowedFeed:
        """Return a feed by its id; raise StaleError where it is followed no more."""
        found = self.following.feeds.get(key)
        if found is None:
            raise StaleError(f"feed {key}: expected it to be followed, found it is not any more")
        return found

    @property
    def remarks(self) -> Mapping[str, str]:
        """Return what an operator should know of feeds that are sound, by feed id."""
        return self._judge.remarks

    async def follow(self, feeds: Sequence[Feed], block: BlockRef) -> None:
        """Find what the feeds are made of, so that events can be used and answers be judged."""
        self._take(await follow(self._reader, block, feeds, self._policy))

    async def keep_following(self, feeds: Sequence[Feed], block: BlockRef) -> None:
        """Follow the feeds, found out about anew only where they are others than before.

        Or are read in another way: a protocol may ask another oracle for the same ones.
        """
        known = frozenset(map(followed_by, feeds))
        if known != self._known:
            held = self.following.feeds
            self._take(await follow(self._reader, block, feeds, self._policy, held=held))
            self._known = known

    def _take(self, following: Following) -> None:
        self._judge = Judge(following=following, policy=self._policy)
        self.telling = self.telling.now_of(following)
        self._told(following)

    def tells(self, key: str) -> bool:
        """Return whether events of a feed's parts tell its price, as of the newest block read."""
        return self.telling.tells(key)

    def learn(self, formulas: Mapping[str, Formula], book: PriceBook) -> None:
        """Take what was found out of how prices follow from their feeds, as of the newest book."""
        known = self.following.feeds
        told = {key: reckoned_by(known[key], one) for key, one in formulas.items() if key in known}
        following = following_of({**known, **told})
        self._judge = Judge(following=following, policy=self._policy)
        self.telling = self.telling.now_of(following)
        self.telling.read(book)

    def log_filter(self) -> LogFilter:
        """Return the events that move a price."""
        return LogFilter(
            addresses=frozenset(self.following.by_aggregator), topics=frozenset({ANSWER_UPDATED})
        )

    async def read(self, block: BlockRef, before: PriceBook | None) -> PriceBook:
        """Read every price at ``block``, the way the protocol itself reads it.

        When a proxy answers from another aggregator than before, that one is followed from now on.
        """
        judge = self._judge
        book = (await self._asked(judge, block))(before)
        if replaced := judge.following.replaced(book.evidence):
            known = judge.following.feeds
            held = {key: one for key, one in known.items() if key not in replaced}
            feeds = [one.feed for one in known.values()]
            found = await follow(self._reader, block, feeds, self._policy, held=held)
            self._take(found)
            book = (await self._asked(self._judge, block))(before)
        self.telling.read(book)
        return book

    async def first(self, block: BlockRef) -> PriceBook:
        """Read every price at ``block``, held where it leapt in the blocks before."""
        blocks = 0 if self._policy.spike is None else self._policy.spike.pause_blocks
        read = partial(self._asked, self._judge)
        before = await book_before(self._reader, self.log_filter(), block, blocks, read)
        return await self.read(block, before)

    async def prices_at(self, block: BlockRef) -> Prices:
        """Return every price at a block that need not be the newest: what is followed stays."""
        return (await self._asked(self._judge, block))(None).prices

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
        """Return the book after the events in ``block``; what is not one answer is read again."""
        judge, touched = self._judge, self._touched(logs)
        own = [one for one in touched if self._is_answered(one)]
        adapted = [one.feed for one in touched if not self._is_answered(one)]
        values = await self._rereading.at(adapted, block) if adapted else {}
        # Others may be followed by the time that it is answered.
        return self._after(judge, book, own, logs, block, values)

    def apply(self, book: PriceBook, log: Log, block: BlockRef) -> PriceBook:
        """Return the book after an event in ``block``, as far as that tells of prices."""
        told = [one for one in self._touched([log]) if self.telling.tells(one.feed.id)]
        return self._after(self._judge, book, told, [log], block, {})

    def moves(self, evidence: Evidence, logs: Sequence[Log]) -> Mapping[str, int] | None:
        """Return the prices that events of a block set by themselves; None when some must be read.

        ``evidence`` is of before them.
        """
        touched = self._touched(logs)
        if not all(self.telling.tells(one.feed.id) for one in touched):
            return None
        prices = self.telling.prices(touched, evidence, said_in(logs))
        known = {key: value for key, value in prices.items() if value is not None}
        return known if len(known) == len(prices) else None

    def read_ahead(self, log: Log, block: BlockRef) -> None:
        """Begin what ``moved`` will read in ``block``, should the event be its only one."""
        adapted = [one.feed for one in self._touched([log]) if not self._is_answered(one)]
        self._rereading.begin(adapted, block)

    def _after(
        self,
        judge: Judge,
        book: PriceBook,
        told: Sequence[FollowedFeed],
        logs: Sequence[Log],
        block: BlockRef,
        values: Mapping[str, int | None],
    ) -> PriceBook:
        """Return the book with values that were read and those of feeds that events tell."""
        prices = self.telling.prices(told, book.evidence, said_in(logs))
        values = {**values, **{key: value for key, value in prices.items() if value is not None}}
        if not values:
            return book
        return judge.updated(book, values, heard_in(judge.following, book.evidence, logs), block)

    def _is_answered(self, one: FollowedFeed) -> bool:
        """Return whether an event is the price, so that there is nothing to read."""
        return one.is_the_answer and self.telling.tells(one.feed.id)

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
        prices = self.telling.foretold(moved, update)
        return PendingPrice(
            tx_hash=transaction.hash,
            aggregator=update.aggregator,
            answer=update.answer,
            prices=prices,
            also=frozenset(one.feed.id for one in moved if one.feed.id not in prices),
        )

    def foresee(self, book: PriceBook, pending: PendingPrice) -> PriceBook:
        """Return the book as the pending transaction would leave it, judged like any other."""
        evidence = foretold_in(self.following, book.evidence, pending, book.block.timestamp)
        return self._judge.updated(book, dict(pending.prices), evidence, book.block)

    def moving_with(self, key: str) -> frozenset[str]:
        """Return every feed that an event of this one's aggregators may move, itself included."""
        leaves, by_aggregator = self.followed(key).leaves, self.following.by_aggregator
        return frozenset(
            other for leaf in leaves for other in by_aggregator.get(leaf.aggregator, ())
        )

    def admits(
        self, book: PriceBook, key: str, value: int, block: BlockRef, *, falls: bool
    ) -> bool:
        """Return whether a price of ``block`` could be acted on: no guard would object to it.

        ``key`` is of a feed that moves by events; the first of those that it is of is moved. Where
        it is of several, that may be as old as it is: another's event may bring the price.
        """
        one = self.followed(key)
        found = one.answering(book.evidence, value, falls=falls)
        if found is None:
            return False
        updated_at = block.timestamp if len(one.leaves) == 1 else found.latest.updated_at
        said = replace(found.latest, answer=found.answer, updated_at=updated_at)
        evidence = replace(book.evidence, rounds={**book.evidence.rounds, found.leaf.proxy: said})
        return key not in self._judge.updated(book, {key: value}, evidence, block).problems

    def _touched(self, logs: Sequence[Log]) -> list[FollowedFeed]:
        """Return the feeds that events may move, each once."""
        by_aggregator = self.following.by_aggregator
        moved = (log.address for log in logs if tells_answer(log))
        keys = (key for aggregator in moved for key in by_aggregator.get(aggregator, ()))
        return [self.following.feeds[key] for key in dict.fromkeys(keys)]

    def _calls(self, following: Following) -> list[Call]:
        """Return all that is asked per block, in the order in which ``_asked`` takes answers."""
        sequencer = self._policy.sequencer
        calls = [one.feed.read for one in following.feeds.values()]
        doubtful = following.doubtful
        calls += [
            replace(round_call(proxy), gas=PROBE_GAS) if proxy in doubtful else round_call(proxy)
            for proxy in following.leaves
        ]
        calls += [one.second.call for one in following.feeds.values() if one.second is not None]
        return calls if sequencer is None else [*calls, round_call(sequencer.feed)]

    async def _asked(self, judge: Judge, block: BlockRef) -> Judged:
        """Ask everything in one batch. Others may be followed by the time that it is answered."""
        following = judge.following
        results = iter(await self._reader.call_many(self._calls(following), block))
        values = {key: said_by(next(results)) for key in following.feeds}
        rounds = {proxy: decode_round(next(results)) for proxy in following.leaves}
        quotes = following.quotes(values)
        seconds = {
            key: one.second.value(next(results), quotes)
            for key, one in following.feeds.items()
            if one.second is not None
        }
        trouble = self._chain_problem(next(results, None), block)
        evidence = Evidence(rounds=rounds, seconds=seconds, chain=trouble)
        nothing = PriceBook(block=block, prices={}, problems={})
        return lambda before: judge.written(nothing, values, evidence, block, before or nothing)

    def _chain_problem(self, answer: CallResult | None, block: BlockRef) -> str | None:
        sequencer = self._policy.sequencer
        if sequencer is None or answer is None:
            return None
        return sequencer_problem(decode_round(answer), sequencer.grace_s, block.timestamp)
