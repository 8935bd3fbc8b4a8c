"""What an event's block will probably bring, made while the node is asked what it does bring.

A feed's event comes with its block's hash, and often with its header; what else is in that block is
asked of the node. Mostly it is nothing that matters. So the loans are looked at as if the event
were alone, planned for on pools and lenders as they were read last, and the plans are rehearsed.
Nothing is decided by it: the look is left for acting where all that it stands on was read, a plan
is taken where it equals what would be made of what was read, and a rehearsal where it is of that
very transaction.
"""

import asyncio
from collections.abc import Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from keeper.app.acting import Acting
from keeper.app.causes import moved_in
from keeper.app.sight import Crossed, Look, Sight
from keeper.core.chain import BlockRef, Log
from keeper.core.tick import Tick
from keeper.mirror.snapshot import Snapshot
from keeper.oracle.announced import Heard
from keeper.oracle.book import PriceBook
from keeper.oracle.watcher import PriceWatcher

M = TypeVar("M")
P = TypeVar("P")

Read = tuple[BlockRef, list[Log]]
"""A block, and all events of feeds in it."""


class Guess(Struct, Generic[M, P], frozen=True, kw_only=True):
    """A look at who crossed, as if an event were its block's only one."""

    log: Log
    look: Look[M, P]

    def confirmed(
        self, prices: PriceBook, logs: Sequence[Log], snapshot: Snapshot[M, P]
    ) -> Look[M, P] | None:
        """Return the look, None unless one at the block's prices would be the same."""
        book = self.look.book
        is_of = book.positions is snapshot.positions and book.market is snapshot.market
        is_at = book.block == prices.block and list(logs) == [self.log]
        is_by = (book.prices, book.problems) == (prices.prices, prices.problems)
        return self.look if is_of and is_at and is_by else None


class Guessing(Generic[M, P]):
    """Makes guesses for one deployment."""

    def __init__(self, watcher: PriceWatcher, sight: Sight[M, P], acting: Acting[M, P]) -> None:
        """Guess by prices that ``watcher`` reads off an event."""
        self._watcher = watcher
        self._sight = sight
        self._acting = acting
        self._heard = Heard()

    def glance(self, log: Log, before: PriceBook) -> Crossed:
        """Return who may have crossed by an event and those of its block that came before it."""
        evidence = self._heard.before(log, self._watcher.following, before.evidence)
        return self._sight.glance(self._watcher.moves(evidence, [log]))

    async def at(
        self,
        log: Log,
        reading: asyncio.Future[Read],
        *,
        before: PriceBook,
        snapshot: Snapshot[M, P],
        crossed: Crossed,
        tick: Tick,
    ) -> Guess[M, P] | None:
        """Return a look at who crossed, with its plan under way, once all questions have gone out.

        None when the event does not say what it moves, and where ``reading`` its block is sooner
        than to hear of it.
        """
        acting = self._acting
        head = await acting.reading_ahead.head_of(log.block_hash, reading)
        if head is None:
            options = self._sight.options(acting.foremost(crossed or ()))
            acting.read_ahead((await reading)[0], options)
            return None
        self._watcher.read_ahead(log, head)
        if crossed is None:
            acting.read_ahead(head, {})
            return None
        prices = self._watcher.apply(before, log, head)
        trigger = moved_in(head, prices.moved)
        look = self._sight.look(head, snapshot, prices, trigger, tick, crossed)
        acting.read_ahead(head, {one.ref: one.options for one in look.found.opportunities})
        await acting.reading_ahead.asked()
        tick.mark("read")
        acting.guess(look)
        return Guess(log=log, look=look)
