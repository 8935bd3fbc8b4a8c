"""Synthetic loans as the daemon holds them: packed positions, columns, index, and event bytes."""

import json
import sys
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from random import Random
from typing import Generic

from benchmarks.crowd import BLOCK, FOLLOWING, HEAD, NOW, TARGET, Crowd, M, P, address
from benchmarks.rows import progress
from keeper.app.book_file import save_book
from keeper.chain.jsonrpc import decode_push
from keeper.chain.records import decode_log
from keeper.core.chain import Call, Log
from keeper.core.lending import AccountRef, Feed, Formula, Price
from keeper.core.values import replace
from keeper.ledger.checkpoints import Checkpoint as Kept
from keeper.mirror.known import scope_of
from keeper.mirror.positions import PackedPositions, Packing
from keeper.mirror.snapshot import Snapshot
from keeper.oracle.book import Evidence
from keeper.oracle.chainlink import ANSWER_UPDATED
from keeper.oracle.feeds import FollowedFeed, Following
from keeper.oracle.judge import Judge
from keeper.oracle.policy import NO_POLICY
from keeper.oracle.sources import Leaf
from keeper.oracle.telling import Telling
from keeper.oracle.watcher import PriceWatcher
from keeper.scanner.lookout import Rung
from keeper.scanner.scan import Book
from keeper.scanner.triggers import Index
from keeper.scanner.watch import Watch

_CHUNK = 20_000
_NOTHING_READ = Evidence()


class Shelf(Generic[M, P]):
    """Loans under watch, and ways to ask about them."""

    def __init__(
        self,
        made: Crowd[M, P],
        positions: PackedPositions[P],
        watch: Watch[M, P],
    ) -> None:
        """Look once and build the index."""
        self._made = made
        self._positions = positions
        self._watch = watch
        self._watcher = _watcher(made)
        self._book = Book(
            block=HEAD, market=made.market, positions=positions, prices=made.prices, problems={}
        )
        self.look()
        build = watch.build()
        if build is None:
            raise AssertionError("an adapter with a screen")
        self._index: Index = build.run()
        watch.adopt(self._index)
        self._feed = made.feed
        self._random = Random(0)  # noqa: S311 - a benchmark, not a secret
        self._lookout = watch._lookout

    def look(self) -> None:
        """Look as is done at each block."""
        self._watch.look(self._book, TARGET, FOLLOWING, trigger="bench")

    def pass_block(self, touched: int) -> None:
        """Do all that a block sets off which touched some loans, the index anew included.

        Every price is another one than in the block before: others come near the line.
        """
        self._pass(touched, self._next_prices())

    def come_to_rest(self) -> None:
        """Pass a block that brings the first prices back."""
        self._pass(0, self._made.prices)

    def _pass(self, touched: int, prices: Mapping[str, Price]) -> None:
        changes = dict(islice(self._positions.items(), touched))
        self._positions = self._positions.with_changes(changes)
        self._watch.take(self._made.market, changes)
        self._book = replace(self._book, positions=self._positions, prices=prices)
        self.look()
        if (build := self._watch.build()) is not None:
            self._index = build.run()
            self._watch.adopt(self._index)

    def _next_prices(self) -> Mapping[str, Price]:
        """Return prices up to 1 % from where they were at first, the same ones in each run."""
        return {
            feed: replace(one, value=one.value * self._random.randint(9_900, 10_100) // 10_000)
            for feed, one in self._made.prices.items()
        }

    def screen(self) -> None:
        """Re-price and screen every loan; decide on nobody."""
        self._lookout.under()

    def exact(self) -> set[AccountRef]:
        """Decide on every loan in integers."""
        return self.under_exactly(self._made.prices[self._feed].value)

    def price_with(self, many: int) -> int:
        """Return a price of the first feed that brings ``many`` accounts under, or a few more."""
        side = self._index.triggers[self._feed].falling
        now = self._made.prices[self._feed].value
        unit = self._made.multiplier
        if not many:
            return now * 99_995 // 100_000 // unit * unit
        below = int(side.prices.searchsorted(float(now), "right"))
        last, spared = side.prices[max(below - many, 1)], side.prices[max(below - many - 1, 0)]
        return int(last + spared) // 2 // unit * unit

    def tells(self, price: int, rung: Rung) -> bool:
        """Return whether a rung can tell at a price of the first feed."""
        return self._lookout.ask(rung, {self._feed: price}) is not None

    def event(self, price: int, rung: Rung = Rung.TRIGGERS) -> Callable[[], list[AccountRef]]:
        """Return what an event's bytes set off; each call begins from the book as it was.

        Where the event does not tell the price, it is at hand as if it had been read.
        """
        raw = _notification(self._made, self._feed, price)
        read = {self._feed: price}

        def run() -> list[AccountRef]:
            log = _log(raw)
            found = self._watch.glance(self._watcher.moves(_NOTHING_READ, [log]) or read)
            return found or []

        def by_another() -> list[AccountRef]:
            log = _log(raw)
            return sorted(self._judge(self._watcher.moves(_NOTHING_READ, [log]) or read, rung))

        return run if rung is Rung.TRIGGERS else by_another

    def under_exactly(self, price: int) -> set[AccountRef]:
        """Return who is under the line at a price, having decided on every loan."""
        view, assess = self._view(price), self._made.adapter.assess
        return {ref for ref, one in self._positions.items() if assess(view, one).liquidatable}

    def named(self, price: int, rung: Rung) -> set[AccountRef]:
        """Return whom a rung names at a price of the first feed."""
        return set(self._ask(rung, {self._feed: price}))

    def judged(self, price: int, rung: Rung) -> set[AccountRef]:
        """Return whom a rung names and the exact rules then find."""
        return self._judge({self._feed: price}, rung)

    def save(self, path: Path) -> None:
        """Write the book as the daemon does at a checkpoint."""
        snapshot = Snapshot(block=HEAD, market=self._made.market, positions=self._positions)
        name = self._made.adapter.deployment
        scope = scope_of(self._made.adapter, self._made.market)
        known = Kept(block=HEAD.number, hash=HEAD.hash, scope=scope)
        if not save_book(path, name, snapshot, self._lookout.columns, known):
            raise AssertionError("a book that can be saved")

    def sizes(self) -> Mapping[str, int]:
        """Return the bytes that stay resident, by what they are for."""
        columns = self._lookout.columns
        buckets, _, _ = self._positions.parts
        shelves = sys.getsizeof(buckets)
        return {
            "columns": columns.nbytes,
            "triggers and hot set": self._index.nbytes,
            "exact positions": sum(map(sys.getsizeof, buckets)) + shelves,
        }

    def _judge(self, prices: Mapping[str, int], rung: Rung) -> set[AccountRef]:
        refs = self._ask(rung, prices)
        (price,) = prices.values()
        view, assess = self._view(price), self._made.adapter.assess
        return {ref for ref in refs if assess(view, self._positions[ref]).liquidatable}

    def _ask(self, rung: Rung, prices: Mapping[str, int]) -> tuple[AccountRef, ...]:
        """Ask a rung, or the one that answers in its place where it cannot tell."""
        return (self._lookout.ask(rung, prices) or self._lookout.foresee(prices)).refs

    def _view(self, price: int) -> M:
        adapter = self._made.adapter
        view = adapter.at(
            self._made.market,
            block=FOLLOWING.number,
            timestamp=FOLLOWING.timestamp,
            prices=self._made.prices,
        )
        moved: M = adapter.repriced(view, {self._feed: price})
        return moved


def shelve(made: Crowd[M, P], many: int, *, seed: int) -> Shelf[M, P]:
    """Put loans under watch, some thousands at a time."""
    packing = Packing(pack=made.adapter.pack, unpack=made.adapter.unpack)
    positions: PackedPositions[P] = PackedPositions(packing)
    watch: Watch[M, P] = Watch(made.adapter)
    loans = made.loans(many, seed=seed)
    done = 0
    while chunk := dict(islice(loans, _CHUNK)):
        positions = positions.with_changes(chunk)
        watch.take(made.market, chunk)
        done += len(chunk)
        if done % 200_000 == 0:
            progress(f"{done:,} loans made")
    return Shelf(made, positions, watch)


def _watcher(made: Crowd[M, P]) -> PriceWatcher:
    """Return a watcher that follows a Chainlink feed for each reserve, as found on a chain."""
    watcher = PriceWatcher(None)  # type: ignore[arg-type] # nothing is read here
    feeds = {}
    for number, (asset, aggregator) in enumerate(made.aggregators.items()):
        proxy = address(number, 0xA3)
        feed = Feed(
            id=asset,
            label=f"T{number}",
            read=Call(to=proxy, data=b""),
            source=proxy,
            direct=made.direct,
            multiplier=made.multiplier,
        )
        leaf = Leaf(proxy=proxy, aggregator=aggregator, phase=1)
        formula = Formula(scale=made.multiplier, over=(proxy,)) if made.direct else None
        feeds[asset] = FollowedFeed(
            feed=feed,
            leaves=(leaf,),
            heartbeats_s={},
            second=None,
            unfit=None,
            formula=formula,
            pivot=leaf,
        )
    following = Following(
        feeds=feeds,
        by_aggregator={one.leaves[0].aggregator: (key,) for key, one in feeds.items()},
        leaves={one.leaves[0].proxy: one.leaves[0] for one in feeds.values()},
    )
    watcher._judge = Judge(following=following, policy=NO_POLICY)
    watcher.telling = Telling(following)
    return watcher


def _log(raw: bytes) -> Log:
    """Return the log in a push, as it is decoded on its way."""
    push = decode_push(raw)
    if push is None:
        raise AssertionError("a push")
    return decode_log(push.result)


def _notification(made: Crowd[M, P], feed: str, price: int) -> bytes:
    """Return the bytes of a subscription's message of an ``AnswerUpdated``."""
    log = {
        "address": made.aggregators[feed],
        "topics": [ANSWER_UPDATED, f"0x{price // made.multiplier:064x}", f"0x{77:064x}"],
        "data": f"0x{NOW + 12:064x}",
        "blockHash": "0x" + "22" * 32,
        "blockNumber": hex(BLOCK + 1),
        "transactionHash": "0x" + "33" * 32,
        "transactionIndex": "0x0",
        "logIndex": "0x0",
        "removed": False,
    }
    params = {"subscription": "0x1", "result": log}
    message = {"jsonrpc": "2.0", "method": "eth_subscription", "params": params}
    return json.dumps(message).encode()
