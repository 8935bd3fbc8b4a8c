"""What a deployment sees of its loans: the mirror's positions under the scanner's watch."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Generic, TypeVar

from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.lending import AccountRef, Health, Option
from keeper.core.ports import ProtocolAdapter
from keeper.core.tick import Tick
from keeper.mirror.snapshot import Snapshot
from keeper.oracle.book import PriceBook
from keeper.scanner.columns import Columns
from keeper.scanner.lookout import Crossing
from keeper.scanner.scan import Book, Scan
from keeper.scanner.watch import Target, Watch

M = TypeVar("M")
P = TypeVar("P")

Crossed = Sequence[AccountRef] | None
"""Who may be under the line after a price moved; None when only a look at all can tell."""
_AT_ONCE: Final = 5_000
"""Loans whose index is built on the spot: sooner than a thread is started."""


class Look(Struct, Generic[M, P], frozen=True, kw_only=True):
    """A book, and who of it may be liquidated."""

    book: Book[M, P]
    held_at: BlockRef
    """The block that the book's positions are of; its prices may be of the one after."""
    found: Scan[M]
    tick: Tick
    """Since the event or the head that it came with."""
    of_all: bool = True
    """Whether every loan was looked at, and not those alone that a price brought."""

    def is_before(self, other: "Look[M, P]") -> bool:
        """Return whether it is at an earlier block's prices than another."""
        return self.book.block.number < other.book.block.number


def foremost(waiting: Look[M, P], newer: Look[M, P]) -> Look[M, P]:
    """Return the newer look; the one that waits where that was at some alone, and found nobody.

    Or at an earlier block: a head may be read after a price of the next one, which brought whoever
    waits.
    """
    if newer.is_before(waiting) and waiting.found.opportunities:
        return waiting
    return newer if newer.of_all or newer.found.opportunities else waiting


class Sight(Generic[M, P]):
    """Takes snapshots and looks at them, at once: what was looked at is what was read."""

    def __init__(self, adapter: ProtocolAdapter[M, P], *, block_time_s: int) -> None:
        """Look at the loans of an adapter, aiming at the next block."""
        self._watch: Watch[M, P] = Watch(adapter)
        self._block_time_s = block_time_s
        self._loans = 0

    def take(self, snapshot: Snapshot[M, P]) -> None:
        """Take a new snapshot: the one that follows the snapshot taken before."""
        changed: Mapping[AccountRef, P | None]
        if snapshot.changed is None:
            self._watch.forget()
            changed = snapshot.positions
        else:
            changed = {ref: snapshot.positions.get(ref) for ref in snapshot.changed}
        self._watch.take(snapshot.market, changed)
        self._loans = len(snapshot.positions)

    def resume(self, columns: Columns) -> None:
        """Take the columns of a saved book; the snapshot taken next names what changed since."""
        self._watch.forget(columns)

    @property
    def columns(self) -> Columns | None:
        """Return the columns of the snapshot taken last, None without a screen."""
        return self._watch.columns

    def look(
        self,
        block: BlockRef,
        snapshot: Snapshot[M, P],
        prices: PriceBook,
        trigger: str,
        tick: Tick | None = None,
        only: Crossed = None,
    ) -> Look[M, P]:
        """Judge every loan of the snapshot taken last at the block after ``block``.

        Or ``only`` some, for whom nobody waits until all have been looked at.
        """
        book = Book(
            block=block,
            market=snapshot.market,
            positions=snapshot.positions,
            prices=prices.prices,
            problems=prices.problems,
            moved=prices.moved,
        )
        target = self._after(block, 1)
        if only is None:
            found = self._watch.look(book, target, self._after(block, 2), trigger=trigger)
        else:
            found = self._watch.look_at(only, book, target, trigger=trigger)
        seen = tick or Tick()
        seen.mark("look_up")
        return Look(book=book, held_at=snapshot.block, found=found, tick=seen, of_all=only is None)

    def glance(self, prices: Mapping[str, int] | None) -> Crossed:
        """Return who may be under the line after a move of prices since the look.

        None when only a look can tell, as where a price must be read.
        """
        return None if prices is None else self._watch.glance(prices)

    def options(self, refs: Iterable[AccountRef]) -> dict[AccountRef, Sequence[Option]]:
        """Return how accounts of the last glance would be liquidated, as far as that is known."""
        return self._watch.options(refs)

    def foresee(self, prices: Mapping[str, int]) -> list[AccountRef] | None:
        """Return who would be under the line at prices that no block has yet.

        None when that cannot be told without assessing everybody.
        """
        return self._watch.foresee(prices)

    def closest(self, most: int) -> list[tuple[AccountRef, Health]]:
        """Return at most so many of those who would cross first, worst first: for showing."""
        return self._watch.closest(most)

    def crossing(self, many: int) -> dict[str, Crossing]:
        """Return who crosses first as each feed moves."""
        return self._watch.crossing(many)

    async def refresh(self) -> None:
        """Prepare the look-up of events, off the hot path."""
        if not self._watch.is_stale:
            return
        build = self._watch.build()
        if build is None:
            return
        index = build.run() if self._loans < _AT_ONCE else await asyncio.to_thread(build.run)
        self._watch.adopt(index)

    def _after(self, block: BlockRef, blocks: int) -> Target:
        timestamp = block.timestamp + blocks * self._block_time_s
        return Target(number=block.number + blocks, timestamp=timestamp)
