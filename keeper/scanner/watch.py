"""Look at every loan at each block, and glance at a price event, exactly and without waiting.

The screen names who may be under the line; the protocol's own integers decide on those alone. What
is found equals what ``scan`` finds, which assesses every loan.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Generic, cast

from msgspec import Struct

from keeper.core.errors import StaleError
from keeper.core.lending import AccountRef, Health, Option
from keeper.core.ports import ProtocolAdapter
from keeper.core.screening import Screened
from keeper.core.values import replace
from keeper.scanner.columns import Columns
from keeper.scanner.lookout import Build, Crossing, Lookout
from keeper.scanner.scan import Book, M, P, Scan, judge, scan
from keeper.scanner.triggers import Index

_NEAR: Final = 64
"""Accounts, on each side of each feed's price, whose positions are kept unpacked."""


class Target(Struct, frozen=True, kw_only=True):
    """The block that liquidations are aimed at, as far as it can be known before."""

    number: int
    timestamp: int
    """Unix seconds."""


class Watch(Generic[M, P]):
    """Watches the loans of one deployment. One writer, which also asks.

    An adapter that is not ``Screened`` is watched by assessing every loan at every look.
    """

    def __init__(self, adapter: ProtocolAdapter[M, P]) -> None:
        """Watch nobody yet."""
        self._adapter = adapter
        self._lookout: Lookout[M, P] | None = None
        if isinstance(adapter, Screened):
            self._lookout = Lookout(cast("Screened[M, P]", adapter))
        self._book: Book[M, P] | None = None
        self._ahead: M | None = None
        self._moved: dict[str, int] = {}
        """Prices of events that are not in ``_ahead`` yet."""
        self._near: dict[AccountRef, P] = {}
        """Positions of who would cross first, unpacked beforehand."""

    def take(self, market: M, changed: Mapping[AccountRef, P | None]) -> None:
        """Take what accounts hold since the last look; None is an account without debt.

        What is found is told of them from the next look on.
        """
        self._ahead = None
        for ref in self._near.keys() & changed.keys():
            del self._near[ref]
        if self._lookout is not None:
            self._lookout.change(market, changed)

    @property
    def columns(self) -> Columns | None:
        """Return the columns of all accounts, None without a screen."""
        return None if self._lookout is None else self._lookout.columns

    def forget(self, columns: Columns | None = None) -> None:
        """Forget everybody, or all but those of saved columns: what is taken next adds to it."""
        if self._lookout is not None:
            self._lookout.clear(columns)
        self._book = self._ahead = None
        self._moved, self._near = {}, {}

    def look(self, book: Book[M, P], target: Target, following: Target, *, trigger: str) -> Scan[M]:
        """Judge every loan at the target block; be ready for events before the one following it."""
        self._book = book
        if self._lookout is None:
            number, timestamp = target.number, target.timestamp
            return scan(self._adapter, book, number=number, timestamp=timestamp, trigger=trigger)
        prices = {feed: price.value for feed, price in book.prices.items()}
        view = self._view(book, target)
        self._lookout.see(view, prices)
        found = self._judge(view, book, self._lookout.under().refs, target, trigger)
        self._ahead = self._view(book, following)
        self._moved = {}
        self._lookout.see(self._ahead, prices)
        self._lookout.get_ready()
        return found

    def look_at(
        self, refs: Iterable[AccountRef], book: Book[M, P], target: Target, *, trigger: str
    ) -> Scan[M]:
        """Judge some loans at the target block, as ``look`` does all; events go on as before."""
        return self._judge(self._view(book, target), book, refs, target, trigger)

    def glance(self, prices: Mapping[str, int]) -> list[AccountRef] | None:
        """Return who is under the line, or cannot be judged, after feeds moved since the look.

        Moves add up until the next look. None when only a look can tell.
        """
        if self._lookout is None or self._book is None or self._ahead is None:
            return None
        refs = self._lookout.under_after(prices).refs
        self._moved.update(prices)
        if not refs:
            return []
        view = self._ahead = self._repriced(self._moved)
        self._moved = {}
        near, positions, is_under = self._near, self._book.positions, self._is_under
        return [
            ref
            for ref in refs
            if (position := near.get(ref) or positions.get(ref)) is not None
            and is_under(view, position)
        ]

    def options(self, refs: Iterable[AccountRef]) -> dict[AccountRef, Sequence[Option]]:
        """Return how accounts would be liquidated at the prices of the last glance."""
        book, view, found = self._book, self._ahead, dict[AccountRef, Sequence[Option]]()
        if book is None or view is None:
            return found
        for ref in refs:
            position = self._near.get(ref) or book.positions.get(ref)
            if position is not None:
                with contextlib.suppress(StaleError):
                    found[ref] = self._adapter.options(view, position)
        return found

    def foresee(self, prices: Mapping[str, int]) -> list[AccountRef] | None:
        """Return who would be under the line were feeds at these prices, as after a ``glance``.

        Nothing is remembered of it. None when only a look can tell.
        """
        if self._lookout is None or self._book is None or self._ahead is None:
            return None
        refs = self._lookout.foresee(prices).refs
        view, held = self._repriced({**self._moved, **prices}), self._book.positions
        return [
            ref
            for ref in sorted(refs)
            if (one := held.get(ref)) is not None and self._is_under(view, one)
        ]

    def crossing(self, many: int) -> dict[str, Crossing]:
        """Return who crosses first as each feed moves; nobody without a screen."""
        if self._lookout is None or self._ahead is None:
            return {}
        return self._lookout.crossing(many)

    @property
    def ahead(self) -> M | None:
        """Return the view of the block after the target, with events since; None before a look."""
        return self._ahead

    @property
    def is_stale(self) -> bool:
        """Return whether events could not be looked up: ``build`` an index and ``adopt`` it."""
        return self._lookout is not None and self._ahead is not None and self._lookout.is_stale

    def build(self) -> Build | None:
        """Begin a new index, of which only ``Build.run`` takes time; None without a screen."""
        return None if self._lookout is None else self._lookout.build()

    def adopt(self, index: Index) -> None:
        """Use an index from now on."""
        if self._lookout is None or self._book is None:
            return
        self._lookout.adopt(index)
        held, known = self._book.positions, self._near
        near = set() if self._ahead is None else self._lookout.nearest(_NEAR)
        # Who stays near is not unpacked anew: old objects are no work for a search for garbage.
        self._near = {
            ref: position
            for ref in near
            if (position := known.get(ref) or held.get(ref)) is not None
        }

    def closest(self, most: int) -> list[tuple[AccountRef, Health]]:
        """Return the accounts that would cross first, as of the block after the next, worst first.

        At most ``most`` of them are assessed; none without a screen. For showing, not for acting.
        """
        view, found = self._ahead, list[tuple[AccountRef, Health]]()
        if view is None:
            return found
        for ref, position in list(self._near.items())[:most]:
            with contextlib.suppress(StaleError):
                found.append((ref, self._adapter.assess(view, position)))
        return sorted(found, key=lambda one: one[1].health_factor)

    def _view(self, book: Book[M, P], target: Target) -> M:
        return self._adapter.at(
            book.market, block=target.number, timestamp=target.timestamp, prices=book.prices
        )

    def _judge(
        self,
        view: M,
        book: Book[M, P],
        refs: Iterable[AccountRef],
        target: Target,
        trigger: str,
    ) -> Scan[M]:
        """Judge some loans, in the order of all."""
        near, known = self._near, book.positions
        held = {
            ref: one for ref in sorted(refs) if (one := near.get(ref) or known.get(ref)) is not None
        }
        few = replace(book, positions=held)
        return judge(self._adapter, view, few, timestamp=target.timestamp, trigger=trigger)

    def _repriced(self, prices: Mapping[str, int]) -> M:
        adapter = cast("Screened[M, P]", self._adapter)
        return adapter.repriced(cast("M", self._ahead), prices)

    def _is_under(self, view: M, position: P) -> bool:
        try:
            return self._adapter.assess(view, position).liquidatable
        except StaleError:
            return True
