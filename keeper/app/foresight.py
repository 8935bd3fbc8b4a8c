"""What a price update of the mempool would bring. It is told; acting on it is ``app.backrun``."""

from typing import Any

from msgspec import Struct

from keeper.app.observer import Observer
from keeper.app.sight import Sight
from keeper.core.lending import AccountRef
from keeper.core.pending import PendingPrice, PendingTransaction
from keeper.oracle.book import PriceBook
from keeper.oracle.watcher import PriceWatcher

MOST_FORESEEN = 64
"""Pending updates looked into between two heads: anybody may send what looks like one."""


class Foresight(Struct, frozen=True, kw_only=True):
    """A price update of the mempool, and what it would bring."""

    pending: PendingPrice
    prices: PriceBook
    """As the update would leave them, with every guard's verdict."""
    under: tuple[AccountRef, ...]
    """Who would be under the line in the block that includes it."""


class Foreseer:
    """Looks into the pending transactions that come between two heads."""

    def __init__(
        self,
        deployment: str,
        watcher: PriceWatcher,
        # Any: whose loans they are does not matter here.
        sight: Sight[Any, Any],
        observer: Observer,
    ) -> None:
        """Foresee for the loans that ``sight`` sees."""
        self._deployment = deployment
        self._watcher = watcher
        self._sight = sight
        self._observer = observer
        self._seen = 0

    def head_seen(self) -> None:
        """Hear that a block came: as many updates may be looked into again."""
        self._seen = 0

    def see(self, transaction: PendingTransaction, prices: PriceBook) -> Foresight | None:
        """Return what a pending transaction would do to the loans at hand, None when nothing.

        Nobody has checked it, and it may not be included.
        """
        if self._seen >= MOST_FORESEEN:
            return None
        pending = self._watcher.pending(transaction)
        if pending is None:
            return None
        self._seen += 1
        book = self._watcher.foresee(prices, pending)
        moved = {key: book.prices[key].value for key in pending.prices if key in book.prices}
        under = self._sight.foresee(moved)
        if under is None:
            return None
        self._observer.foreseen(self._deployment, pending, len(under))
        return Foresight(pending=pending, prices=book, under=tuple(under))
