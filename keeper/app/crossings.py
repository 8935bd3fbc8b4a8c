"""Who crosses the line first when one feed moves, feed by feed and way by way.

The screen says who is near. Each is asked of the exact rules: at which price it crosses, and how
it would be liquidated there.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from time import perf_counter_ns
from typing import Final, Generic, NamedTuple, TypeVar, cast

from msgspec import Struct, field

from keeper.app.books import Appraiser
from keeper.app.in_vain import InVain
from keeper.app.parity import Parity
from keeper.app.planning import Planning
from keeper.app.sight import Sight
from keeper.app.trigger_price import crossing_price
from keeper.core.chain import BlockRef, StateOverride
from keeper.core.errors import StaleError
from keeper.core.lending import AccountRef
from keeper.core.plan import Opportunity
from keeper.core.ports import ProtocolAdapter, Simulator
from keeper.core.screening import Screened
from keeper.core.units import Address
from keeper.executor.arming import Arming
from keeper.executor.dividing import Decoders
from keeper.mirror.snapshot import Snapshot
from keeper.oracle.book import PriceBook
from keeper.oracle.stand_in import StandIns
from keeper.oracle.watcher import PriceWatcher

REACH_BPS = 500
"""How far from a feed's price an account may cross and still be signed for ahead."""
AMONG: Final = 4
"""So many times as many accounts as are signed for are looked at: not all of them are worth it."""
_BPS = 10_000

M = TypeVar("M")
P = TypeVar("P")


class Ahead(Struct, Generic[M, P], frozen=True, kw_only=True):
    """A head, and everything at it."""

    head: BlockRef
    snapshot: Snapshot[M, P]
    prices: PriceBook
    seen_ns: int = field(default_factory=perf_counter_ns)
    """When all that was known, by ``time.perf_counter_ns``."""


class Candidate(NamedTuple, Generic[M, P]):
    """An account with the price of one feed at which it crosses, and the market at that price."""

    opportunity: Opportunity
    position: P
    price: int
    view: M


class Side(Struct, Generic[M, P], frozen=True, kw_only=True):
    """The candidates of one feed and one way that it moves, first to cross first."""

    feed: str
    falls: bool
    candidates: tuple[Candidate[M, P], ...]


class Bench(Struct, Generic[M, P], frozen=True, kw_only=True):
    """What preparing works with."""

    adapter: ProtocolAdapter[M, P]
    planning: Planning[M, P]
    watcher: PriceWatcher
    appraiser: Appraiser[M, P]
    parity: Parity[M, P]
    simulator: Simulator
    decoders: Callable[[M], Decoders]
    overrides: Mapping[Address, StateOverride]
    stand_ins: StandIns
    block_time_s: int
    min_debt_base: int
    most: int
    """Accounts of each side of each feed."""
    most_move_bps: int
    """How far a feed may have moved since the head: beyond that the exchanges have moved too."""


class Crossings(Generic[M, P]):
    """Finds the accounts of a deployment that are next to cross."""

    def __init__(
        self, bench: Bench[M, P], arming: Arming, sight: Sight[M, P], in_vain: InVain
    ) -> None:
        """Look among the loans that ``sight`` sees, past those that ``arming`` makes wait.

        Those that were planned ``in_vain`` lately have the places that others leave.
        """
        self._in_vain = in_vain
        self._bench = bench
        self._arming = arming
        self._sight = sight

    async def sides(self, ahead: Ahead[M, P]) -> AsyncIterator[Side[M, P]]:
        """Yield who crosses first, feed by feed, letting others run between."""
        bench, prices = self._bench, ahead.prices.prices
        view = bench.adapter.at(
            ahead.snapshot.market,
            block=ahead.head.number + 2,
            timestamp=self.timestamp(ahead.head),
            prices=prices,
        )
        crossing = self._sight.crossing(bench.most * AMONG)
        for feed, both in crossing.items():
            if feed not in prices or not bench.watcher.telling.tells(feed):
                continue
            for falls, near in ((True, both.falling), (False, both.rising)):
                found: list[Candidate[M, P]] = []
                value, block = prices[feed].value, ahead.head.number
                for ref, hint in self._in_vain.put_last(feed, near, block):
                    if len(found) == bench.most:
                        break
                    if abs(hint - value) * _BPS > value * REACH_BPS:
                        continue
                    found += self._candidates(ahead, view, feed, ref, int(hint), falls=falls)
                    await asyncio.sleep(0)
                if found:
                    found.sort(key=lambda one: one.price, reverse=falls)
                    yield Side(feed=feed, falls=falls, candidates=tuple(found))

    def _candidates(
        self, ahead: Ahead[M, P], view: M, feed: str, ref: AccountRef, hint: int, *, falls: bool
    ) -> Iterator[Candidate[M, P]]:
        """Yield the account as it would be liquidated, if it may be."""
        bench, adapter = self._bench, self._bench.adapter
        position = ahead.snapshot.positions.get(ref)
        if position is None or self._is_barred(ahead, feed, ref, position):
            return
        is_under = self.is_under(view, position, feed)
        line = crossing_price(is_under, hint, falls=falls)
        price = None if line is None else self._reached(ahead, feed, line, falls=falls)
        if price is None or not is_under(self._farthest(price, falls=falls)):
            return
        priced = self._repriced(view, feed, price)
        health = adapter.assess(priced, position)
        options = adapter.options(priced, position)
        if not options or health.debt_base < bench.min_debt_base:
            return
        opportunity = Opportunity(
            ref=ref,
            block=ahead.head,
            timestamp=self.timestamp(ahead.head),
            health=health,
            options=options,
            trigger=f"{bench.watcher.followed(feed).feed.label} at {price}, signed ahead",
        )
        yield Candidate(opportunity, position, price, priced)

    def _is_barred(self, ahead: Ahead[M, P], feed: str, ref: AccountRef, position: P) -> bool:
        bench, head = self._bench, ahead.head
        feeds = self.feeds_of(ahead, position)
        return bool(
            feeds & (bench.watcher.moving_with(feed) - {feed})
            or feeds & ahead.prices.problems.keys()
            or bench.parity.bar(ref, head)
            or self._arming.waits(ref, head.number)
        )

    def is_under(self, view: M, position: P, feed: str) -> Callable[[int], bool]:
        """Return how to ask whether a position is liquidatable at a price of a feed."""
        adapter = self._bench.adapter

        def asked(price: int) -> bool:
            try:
                return adapter.assess(self._repriced(view, feed, price), position).liquidatable
            except StaleError:
                return False

        return asked

    def _farthest(self, price: int, *, falls: bool) -> int:
        """Return how far past a price one is answered.

        Whoever may not be liquidated there any more, as by an early liquidation, is not signed for.
        """
        most = price * self._bench.most_move_bps // _BPS
        return price - most if falls else price + most

    def _reached(self, ahead: Ahead[M, P], feed: str, line: int, *, falls: bool) -> int | None:
        """Return the first price past the line that answers of the feed can make."""
        one = self._bench.watcher.followed(feed)
        found = one.answering(ahead.prices.evidence, line, falls=falls)
        return found.price if found is not None and found.price > 0 else None

    def feeds_of(self, ahead: Ahead[M, P], position: P) -> frozenset[str]:
        """Return every feed that the position's health rests on."""
        return self._bench.adapter.feeds_of(ahead.snapshot.market, position)

    def _repriced(self, view: M, feed: str, price: int) -> M:
        return cast("Screened[M, P]", self._bench.adapter).repriced(view, {feed: price})

    def timestamp(self, head: BlockRef) -> int:
        """Return when the block after the event's is expected, unix seconds."""
        return head.timestamp + 2 * self._bench.block_time_s
