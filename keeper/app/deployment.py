"""One deployment: its loans and prices as of the newest block, and what acts on them.

Watching turns each head and price event into a book of loans and prices and leaves it for acting.
An error that a later block can mend skips a block; one that only a person can mend pauses this
deployment and leaves the others alone.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from keeper.app.acting import Acting
from keeper.app.backrun import Backrun
from keeper.app.causes import Causes
from keeper.app.crossings import Ahead
from keeper.app.filling import Filling
from keeper.app.foresight import Foreseer
from keeper.app.growing import Growing
from keeper.app.guessing import Guessing
from keeper.app.observer import Observer
from keeper.app.outlook import Outlook
from keeper.app.parity import Parity
from keeper.app.prearming import Prearming
from keeper.app.rivals import Rivals
from keeper.app.shelf import Shelf
from keeper.app.sight import Crossed, Look, Sight
from keeper.app.skipping import RETRY_S, SKIPPED
from keeper.core.chain import BlockRef, Log, LogFilter, LogHint
from keeper.core.errors import ConfigError, DriftError, StaleError, TransientError
from keeper.core.lending import AccountRef, Health
from keeper.core.pending import PendingTransaction
from keeper.core.ports import ProtocolAdapter, Reader
from keeper.core.tick import Tick
from keeper.executor.dividing import Decoders
from keeper.mirror.audit import Ground
from keeper.mirror.mirror import Mirror
from keeper.oracle.book import PriceBook
from keeper.oracle.watcher import PriceWatcher
from keeper.runtime.garbage import sweep
from keeper.runtime.precedence import Precedence

M = TypeVar("M")
P = TypeVar("P")

_HEAD_GIVES_WAY_S = 0.05
_REST_GIVES_WAY_S = 0.25
"""How long a head, and what else it brings, waits while others go first (``Precedence``)."""
STARTS = 5
"""Tries to fill a mirror: a reorg may undo the block that it is being filled at."""


class Deployment(Generic[M, P]):
    """One protocol on one chain."""

    def __init__(  # noqa: PLR0913 - it introduces the rooms to each other
        self,
        *,
        adapter: ProtocolAdapter[M, P],
        reader: Reader,
        acting: Acting[M, P],
        shelf: Shelf[M, P],
        watcher: PriceWatcher,
        parity: Parity[M, P],
        block_time_s: int,
        finality_depth: int,
        growing: Growing,
        rivals: Rivals[M, P],
        observer: Observer,
        precedence: Precedence,
        prearming: Callable[[Sight[M, P]], Prearming[M, P]] | None = None,
        backrun: Backrun[M, P] | None = None,
    ) -> None:
        """Bring the rooms of a deployment together. A reorg may undo ``finality_depth`` blocks."""
        self.adapter = adapter
        self.acting = acting
        self.mirror: Mirror[M, P] = Mirror(adapter, reader)
        self._reader = reader
        self.shelf = shelf
        """What it leaves for its next start."""
        self._watcher = watcher
        self._parity = parity
        self._growing = growing
        self._rivals = rivals
        self._observer = observer
        self._precedence = precedence
        self._prices: PriceBook | None = None
        self._sight: Sight[M, P] = Sight(adapter, block_time_s=block_time_s)
        self._filling = Filling(
            self.mirror,
            shelf,
            self._sight,
            parity,
            observer,
            name=self.name,
            finality_depth=finality_depth,
        )
        self.outlook: Outlook[M, P] = Outlook(
            Foreseer(adapter.deployment, watcher, self._sight, observer),
            None if prearming is None else prearming(self._sight),
            backrun,
        )
        self._guessing = Guessing(watcher, self._sight, acting)
        self._paused = ""
        self._causes = Causes()

    @property
    def name(self) -> str:
        """The deployment's name."""
        return self.adapter.deployment

    @property
    def is_paused(self) -> bool:
        """Whether all of it is out: it is not read any more."""
        return bool(self._paused)

    @property
    def is_barred(self) -> bool:
        """Whether something of it may not be acted on."""
        return self._parity.is_paused

    def pause(self, why: str) -> None:
        """Leave it alone from now on, whatever of it is on its way, and say why."""
        self._paused = why
        self._parity.leave(why)
        self.outlook.void()
        self._observer.paused(self.name, why)
        self._observer.lost(self.name)

    @property
    def price_filter(self) -> LogFilter:
        """The events that move this deployment's prices."""
        return self._watcher.log_filter()

    def closest(self, most: int) -> list[tuple[AccountRef, Health]]:
        """Return at most so many of those who would cross first, worst first: for showing."""
        return self._sight.closest(most)

    def decoders(self) -> Decoders:
        """Return how to read this deployment's transactions.

        Raises ConfigError while its market was never read, as where it was left out at the start.
        """
        if not self.mirror.is_read:
            msg = f"{self.name}: expected a market to read its transactions by, found none read"
            raise ConfigError(msg)
        return self.acting.decoders(self.mirror.snapshot.market)

    async def start(self, head: BlockRef) -> None:
        """Fill the mirror at ``head``, or a newer one once that is gone; raise what is met last."""
        self._parity.start(self.name)
        for left in reversed(range(STARTS)):
            try:
                await self._filling.fill(head)
                return await self._publish(head, Tick())
            except (StaleError, TransientError) as error:
                if not left:
                    raise
                self._observer.skipped(self.name, f"starting again: {error}")
            await asyncio.sleep(RETRY_S)
            head = await self._reader.head()
        return None

    async def see_head(self, head: BlockRef) -> bool:
        """Bring mirror and prices to a head and leave the book for acting.

        Return whether that is done: a head whose reads failed may be seen again.
        """
        await self._precedence.give_way(_HEAD_GIVES_WAY_S)
        tick = Tick()
        self.outlook.head_seen()
        if self._paused:
            return True
        try:
            await self._filling.follow(head)
            await self._publish(head, tick)
        except SKIPPED as error:
            self._observer.skipped(self.name, str(error))
            return False
        except DriftError as error:
            self._parity.pause(self.name, error, head)
        except ConfigError as error:
            self.pause(str(error))
        return True

    async def see_price(self, log: Log) -> None:
        """Re-price the loans at hand on a feed's event, before the head it came with is read.

        All feeds that moved in that block move together: a block's prices are one fact. They are
        read only when somebody may have fallen under the line; the head tells the rest.
        """
        if self._paused or self._prices is None or log.block_number <= self._prices.block.number:
            return
        tick = Tick(log.seen_ns)
        tick.mark("decode")
        crossed = self._guessing.glance(log, self._prices)
        if crossed == []:
            return
        tick.mark("look_up")
        try:
            with self._precedence.claimed(f"a price of {self.name}"):
                await self._answer(log, self._prices, crossed, tick)
        except SKIPPED as error:
            self._observer.skipped(self.name, str(error))

    async def _answer(self, log: Log, before: PriceBook, crossed: Crossed, tick: Tick) -> None:
        """Look at who crossed, else at all, at the prices of an event's block, reading ahead."""
        newest = self.acting.reading_ahead.newest
        reading = asyncio.ensure_future(self._watcher.block_of(log, newest))
        guessing = self._guessing.at(
            log,
            reading,
            before=before,
            snapshot=self.mirror.snapshot,
            crossed=crossed,
            tick=tick,
        )
        (block, logs), guess = await asyncio.gather(reading, guessing)
        await self.acting.reading_ahead.asked()
        known, prices = await self._moved(before, logs, block)
        if block.number > known.block.number and prices.moved:
            self._prices = prices
            self.acting.price_moved()
            tick.mark("read")
            if len(logs) > 1:
                crossed = self._sight.glance(self._watcher.moves(known.evidence, logs))
            trigger, snapshot = self._causes.of(block, prices.moved), self.mirror.snapshot
            look = guess and known is before and guess.confirmed(prices, logs, snapshot)
            self._leave(look or self._sight.look(block, snapshot, prices, trigger, tick, crossed))

    async def _moved(
        self, before: PriceBook, logs: Sequence[Log], block: BlockRef
    ) -> tuple[PriceBook, PriceBook]:
        """Return the newest prices, and what the events in ``block`` make of them.

        A head may be read meanwhile: what it tells of other feeds, and of why they may not be acted
        on, must not be lost.
        """
        while True:
            known = self._prices or before
            prices = await self._watcher.moved(known, logs, block)
            if self._prices is known:
                return known, prices

    def hear_price(self, hint: LogHint, at_ns: int) -> None:
        """Answer a feed's event at once with what was signed ahead; ``see_price`` does the rest."""
        if not self._paused:
            self.outlook.hear_price(hint, at_ns)

    def see_pending(self, transaction: PendingTransaction) -> None:
        """Look into what a pending transaction would do to the loans at hand."""
        if not self._paused and self._prices is not None:
            self.outlook.see_pending(transaction, self._prices, self.mirror.snapshot)

    def close(self) -> None:
        """Begin nothing more; what acts finishes what it has begun and ends."""
        self.acting.close()
        self.outlook.close()

    async def checkpoint(self) -> None:
        """Write a checkpoint now."""
        await self._filling.keep()

    async def _publish(self, head: BlockRef, tick: Tick) -> None:
        """Read the prices at ``head`` and leave the book; then prepare for what comes next."""
        snapshot = self.mirror.snapshot
        self._rivals.hear(snapshot)
        await self._watcher.keep_following(self.adapter.feeds(snapshot.market), head)
        self.acting.take(snapshot.market)
        before = self._prices
        self._prices, at_target = await self._growing.read(head, before)
        if self._paused:
            return
        if before is None or self._prices.moved:
            self.acting.price_moved()
        self._observer.mirrored(self.name, head, len(snapshot.positions))
        ground = Ground(snapshot=snapshot, prices=self._prices.prices)
        self._parity.take(ground)
        tick.mark("read")
        trigger = self._causes.of(head, at_target.moved)
        self._leave(self._sight.look(head, snapshot, at_target, trigger, tick))
        await self._precedence.give_way(_REST_GIVES_WAY_S)
        await self._sight.refresh()
        with suppress(*SKIPPED):  # whoever plans reads it again
            await self.acting.planning.refresh(head)
        await self._rivals.note(snapshot, self._causes.last_move)
        await self._parity.look(self.name, ground, self.mirror.known)
        if self._parity.is_paused:
            self.shelf.forget_book()
        self.outlook.prepare(Ahead(head=head, snapshot=snapshot, prices=self._prices))
        if self.shelf.is_due(head.number):
            await self.checkpoint()
            sweep()

    def _leave(self, look: Look[M, P]) -> None:
        """Put what was found in the mailbox."""
        self.acting.offer(look)
        self._rivals.looked(look)
