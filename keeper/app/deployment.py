"""One deployment's two loops: watch the chain, and act on what was seen.

Watching turns each head and price event into a book of loans and prices and leaves it in a
one-slot mailbox: before commitment the newest wins. Acting takes it from there to the executor.
An error that a later block can mend skips a block; one that only a person can mend pauses this
deployment and leaves the others alone.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from keeper.app.book_file import load_book, save_book
from keeper.app.books import Appraiser
from keeper.app.observer import Observer
from keeper.app.parity import Parity
from keeper.app.sight import Look, Sight
from keeper.core.chain import BlockRef, Log, LogFilter
from keeper.core.errors import (
    ConfigError,
    DriftError,
    KeeperError,
    RefusedError,
    StaleError,
    TransientError,
)
from keeper.core.lending import AccountRef, Reason, Rejection, Valuation
from keeper.core.pending import PendingPrice, PendingTransaction
from keeper.core.plan import Opportunity, Plan
from keeper.core.ports import Journal, ProtocolAdapter, Reader
from keeper.executor.executor import Executor
from keeper.executor.rehearse import Decoders
from keeper.mirror.audit import Ground
from keeper.mirror.mirror import Checkpoint, Mirror
from keeper.oracle.book import PriceBook
from keeper.oracle.watcher import PriceWatcher
from keeper.runtime.garbage import sweep
from keeper.runtime.latest import Latest
from keeper.scanner.scan import Book, Scan

SKIPPED = (TransientError, StaleError, RefusedError)
"""What skips a block: the next one may be read although this one was not, or was refused."""

TRIES = 3
RETRY_S = 0.25
"""How often, and how far apart, a look is acted on whose reads fail while nothing newer comes."""

M = TypeVar("M")
P = TypeVar("P")


MOST_FORESEEN = 64
"""Pending updates looked into between two heads: anybody may send what looks like one."""


class CheckpointStore(Protocol):
    """Where the mirror's checkpoints are kept between runs."""

    async def load(self, deployment: str) -> Checkpoint | None:
        """Return the newest checkpoint, None on the first run."""
        ...

    async def save(self, deployment: str, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint; its accounts only ever grow."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Generic[M, P]):
    """What a planner plans from."""

    adapter: ProtocolAdapter[M, P]
    view: M
    book: Book[M, P]
    opportunities: Sequence[Opportunity]
    valuations: Mapping[AccountRef, Valuation]
    """Of each opportunity's market."""


class Planning(Protocol[M, P]):
    """Turns a batch into plans and rejections. Implemented over ``keeper.planner``."""

    async def plan(self, batch: Batch[M, P]) -> tuple[list[Plan], list[Rejection]]:
        """Return the plans in the order to send them, and why the others are not taken."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often and from which size on. Seconds, and blocks where said."""

    block_time_s: int
    finality_depth: int
    checkpoint_every: int
    """Blocks between two checkpoints."""
    min_debt_base: int
    """Accounts that owe less are not planned for, in the market's base unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """A price update of the mempool, and what it would bring."""

    pending: PendingPrice
    prices: PriceBook
    """As the update would leave them, with every guard's verdict."""
    under: tuple[AccountRef, ...]
    """Who would be under the line in the block that includes it."""


class Deployment(Generic[M, P]):
    """One protocol on one chain."""

    def __init__(  # noqa: PLR0913 - it introduces the rooms to each other
        self,
        *,
        adapter: ProtocolAdapter[M, P],
        reader: Reader,
        planning: Planning[M, P],
        executor: Executor,
        journal: Journal,
        checkpoints: CheckpointStore,
        watcher: PriceWatcher,
        appraiser: Appraiser[M, P],
        parity: Parity[M, P],
        decoders: Callable[[M], Decoders],
        pace: Pace,
        book_file: Path,
        observer: Observer,
    ) -> None:
        """Bring the rooms of a deployment together."""
        self.adapter = adapter
        self.appraiser = appraiser
        self.mirror: Mirror[M, P] = Mirror(adapter, reader)
        self._reader = reader
        self._planning = planning
        self._executor = executor
        self._journal = journal
        self._checkpoints = checkpoints
        self._watcher = watcher
        self._parity = parity
        self._decoders = decoders
        self._pace = pace
        self._book_file = book_file
        self._observer = observer
        self._feeds: frozenset[str] = frozenset()
        self._prices: PriceBook | None = None
        self._sight: Sight[M, P] = Sight(adapter, block_time_s=pace.block_time_s)
        self._mail: Latest[Look[M, P]] = Latest()
        self._told: dict[AccountRef, Reason] = {}
        self._saved_at = 0
        self._paused = ""
        self._looked = False
        self._foreseen = 0
        self._last_move = ""
        self.acted_on = -1
        """The newest block whose opportunities were dealt with."""

    @property
    def name(self) -> str:
        """The deployment's name."""
        return self.adapter.deployment

    @property
    def price_filter(self) -> LogFilter:
        """The events that move this deployment's prices."""
        return self._watcher.log_filter()

    def decoders(self) -> Decoders:
        """Return how to read this deployment's transactions."""
        return self._decoders(self.mirror.snapshot.market)

    async def start(self, head: BlockRef) -> None:
        """Fill the mirror from the newest checkpoint and the logs since."""
        self._parity.start(self.name)
        if self._parity.is_paused or not await self._resume(head):
            anchor = await self._checkpoints.load(self.name)
            self._sight.take(await self.mirror.start(head, anchor, self._progress))
        await self._publish(head)

    async def _resume(self, head: BlockRef) -> bool:
        """Go on from the book on disk, if its block is still canonical."""
        saved = load_book(self._book_file, self.adapter)
        if saved is None:
            return False
        snapshot = await self.mirror.resume(head, saved.block, saved.hash, saved.positions)
        if snapshot is None:
            return False
        self._sight.resume(saved.columns)
        self._sight.take(snapshot)
        return True

    async def see_head(self, head: BlockRef) -> bool:
        """Bring mirror and prices to a head and leave the book for acting.

        Return whether that is done: a head whose reads failed may be seen again.
        """
        self._foreseen = 0
        if self._paused:
            return True
        try:
            await self._mirror(head)
            await self._publish(head)
        except SKIPPED as error:
            self._observer.skipped(self.name, str(error))
            return False
        except DriftError as error:
            self._parity.pause(self.name, error, head)
        except ConfigError as error:
            self._paused = str(error)
            self._observer.paused(self.name, self._paused)
        return True

    async def _mirror(self, head: BlockRef) -> None:
        """Bring the mirror to a head; read everything anew once a person has lifted a pause."""
        if self._parity.resumed(self.name):
            known = self.mirror.checkpoint(self._pace.finality_depth)
            self._sight.take(await self.mirror.start(head, known, self._progress))
        else:
            self._sight.take(await self.mirror.advance(head))

    async def see_price(self, log: Log) -> None:
        """Re-price the loans at hand on a feed's event, before the head it came with is read.

        All feeds that moved in that block move together: a block's prices are one fact. They are
        read only when somebody may have fallen under the line; the head tells the rest.
        """
        if self._paused or self._prices is None or log.block_number <= self._prices.block.number:
            return
        if not self._sight.is_of_interest(self._watcher.moves(log)):
            return
        try:
            block = await self._reader.block(log.block_number)
            logs = await self._reader.logs_at(self.price_filter, block)
            prices = await self._watcher.reread(self._prices, logs, block)
            for one in logs:
                prices = self._watcher.apply(prices, one, block)
            if block.number > self._prices.block.number and prices.moved:
                self._prices = prices
                self._executor.price_moved()
                self._leave(block, prices)
        except SKIPPED as error:
            self._observer.skipped(self.name, str(error))

    def see_pending(self, transaction: PendingTransaction) -> Foresight | None:
        """Return what a pending transaction would do to the loans at hand, None when nothing.

        It is told, and never acted on by itself: nobody has checked it, and it may not be included.
        """
        if self._paused or self._prices is None or self._foreseen >= MOST_FORESEEN:
            return None
        pending = self._watcher.pending(transaction)
        if pending is None:
            return None
        self._foreseen += 1
        book = self._watcher.foresee(self._prices, pending)
        moved = {key: book.prices[key].value for key in pending.prices if key in book.prices}
        under = self._sight.foresee(moved)
        if under is None:
            return None
        self._observer.foreseen(self.name, pending, len(under))
        return Foresight(pending=pending, prices=book, under=tuple(under))

    async def act(self) -> None:
        """Take the newest book to the executor, for ever."""
        async for look in self._mail:
            for _ in range(TRIES):
                try:
                    await self._act_on(look)
                    break
                except SKIPPED as error:
                    self._observer.skipped(self.name, str(error))
                if self._mail.is_waiting:
                    break
                await asyncio.sleep(RETRY_S)
            self.acted_on = look.book.block.number

    def close(self) -> None:
        """Let ``act`` finish what it has begun and end; what waits is not begun any more."""
        self._mail.take()
        self._mail.close()

    async def checkpoint(self) -> None:
        """Write a checkpoint now."""
        kept = self.mirror.checkpoint(self._pace.finality_depth)
        await self._checkpoints.save(self.name, kept)
        snapshot, columns = self.mirror.snapshot, self._sight.columns
        if columns is not None and not self._parity.is_paused:
            await asyncio.to_thread(save_book, self._book_file, self.name, snapshot, columns)
        self._saved_at = snapshot.block.number

    async def _publish(self, head: BlockRef) -> None:
        """Read the prices at ``head`` and leave the book."""
        snapshot = self.mirror.snapshot
        feeds = self.adapter.feeds(snapshot.market)
        names = frozenset(f"{one.id}:{one.source}:{one.underlying}" for one in feeds)
        if names != self._feeds:
            await self._watcher.follow(feeds, head)
            self._feeds = names
        self.appraiser.take(snapshot.market)
        before, self._prices = self._prices, await self._watcher.read(head, self._prices)
        if before is None or self._prices.moved:
            self._executor.price_moved()
        self._observer.mirrored(self.name, head, len(snapshot.positions))
        self._leave(head, self._prices)
        await self._sight.refresh()
        ground = Ground(snapshot=snapshot, prices=self._prices.prices)
        await self._parity.look(self.name, ground, self.mirror.known)
        if self._parity.is_paused:
            self._book_file.unlink(missing_ok=True)  # what drifted must not outlive a restart
        if head.number - self._saved_at >= self._pace.checkpoint_every:
            await self.checkpoint()
            sweep()

    def _leave(self, block: BlockRef, prices: PriceBook) -> None:
        """Look at every loan at once and put what was found in the mailbox."""
        trigger = self._trigger(block, prices.moved)
        self._mail.offer(self._sight.look(block, self.mirror.snapshot, prices, trigger))

    async def _act_on(self, look: Look[M, P]) -> None:
        """Plan and carry out at the block after the book's."""
        book, found = look.book, look.found
        self._observer.scanned(self.name, book.block, len(found.opportunities), book.moved)
        rejected = list(found.rejections)
        fresh = self._fresh(found, rejected)
        if fresh:
            rejected += await self._carry_out(book, found, fresh)
        await self._tell([self._remarked(one, book) for one in rejected])

    def _remarked(self, rejection: Rejection, book: Book[M, P]) -> Rejection:
        """Return the rejection with what is to be known of the feeds behind the account."""
        remarks, position = self._watcher.remarks, book.positions.get(rejection.ref)
        if not remarks or position is None:
            return rejection
        feeds = self.adapter.feeds_of(book.market, position)
        said = dict.fromkeys(remarks[key] for key in sorted(feeds & remarks.keys()))
        return replace(rejection, detail="; ".join((rejection.detail, *said)))

    def _trigger(self, block: BlockRef, moved: str) -> str:
        """Say what may have brought accounts under the line since the last look."""
        first, self._looked = not self._looked, True
        if moved:
            self._last_move = f"{moved} in block {block.number}"
            return self._last_move
        if first:
            return "first look"
        return f"interest, after {self._last_move}" if self._last_move else "interest"

    def _fresh(self, found: Scan[M], rejected: list[Rejection]) -> list[Opportunity]:
        """Return the opportunities that are worth planning now."""
        fresh: list[Opportunity] = []
        for one in found.opportunities:
            waiting = self._executor.waiting(one.ref, found.block.number)
            if barred := self._parity.bar(one.ref, found.block):
                rejected.append(barred)
            elif one.health.debt_base < self._pace.min_debt_base:
                rejected.append(_too_small(one, self._pace.min_debt_base))
            elif waiting is None:
                fresh.append(one)
            elif waiting.reason is not Reason.IN_FLIGHT:
                rejected.append(waiting)
        return fresh

    async def _carry_out(
        self, book: Book[M, P], found: Scan[M], fresh: Sequence[Opportunity]
    ) -> list[Rejection]:
        """Plan and execute; return what is not taken."""
        await self.appraiser.prepare(found.view, [one.ref for one in fresh], book.block)
        valuations, unvalued = self._value(found.view, fresh)
        batch = Batch(
            adapter=self.adapter,
            view=found.view,
            book=book,
            opportunities=[one for one in fresh if one.ref in valuations],
            valuations=valuations,
        )
        try:
            plans, rejected = await self._planning.plan(batch)
        except RefusedError as error:
            rejected = [_no(one, Reason.GAS_PRICE_CAP, error) for one in batch.opportunities]
            return [*unvalued, *rejected]
        sound, drifted = await self._parity.sound(self.name, plans)
        report = await self._executor.carry_out(
            sound,
            found.block,
            found.timestamp,
            self._decoders(book.market),
            self._observer.sent,
        )
        for plan in report.shown:
            self._observer.shown(plan)
        return [*unvalued, *rejected, *drifted, *report.rejected]

    def _value(
        self, view: M, fresh: Sequence[Opportunity]
    ) -> tuple[dict[AccountRef, Valuation], list[Rejection]]:
        """Return the prices that each opportunity is planned at, and those that have none."""
        valuations: dict[AccountRef, Valuation] = {}
        unvalued: list[Rejection] = []
        for one in fresh:
            try:
                valuations[one.ref] = self.appraiser.at(view, one.ref)
            except StaleError as error:
                unvalued.append(_no(one, Reason.PRICE_UNUSABLE, error))
        return valuations, unvalued

    async def _tell(self, rejected: Sequence[Rejection]) -> None:
        """Journal and report each rejection whose reason is new for its account."""
        for one in rejected:
            if one.reason in (Reason.BACKING_OFF, Reason.DISARMED):
                continue
            await self._journal.reject(self.name, one)
            if self._told.get(one.ref) is not one.reason:
                self._observer.rejected(self.name, one)
            self._told[one.ref] = one.reason

    def _progress(self, what: str, done: int, of: int) -> None:
        self._observer.progressed(self.name, what, done, of)


def _no(opportunity: Opportunity, reason: Reason, error: KeeperError) -> Rejection:
    return Rejection(
        ref=opportunity.ref,
        block=opportunity.block.number,
        reason=reason,
        detail=str(error),
    )


def _too_small(opportunity: Opportunity, least: int) -> Rejection:
    owed = opportunity.health.debt_base
    return Rejection(
        ref=opportunity.ref,
        block=opportunity.block.number,
        reason=Reason.TOO_SMALL,
        detail=f"owes {owed}, min_debt_base is {least} (base units)",
    )
