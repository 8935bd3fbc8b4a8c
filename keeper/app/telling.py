"""Why accounts were left alone: journaled each time, told of when the reason is new."""

from collections.abc import Sequence
from typing import Any, Final

from keeper.app.observer import Observer
from keeper.core.lending import AccountRef, Reason, Rejection
from keeper.core.ports import Journal, ProtocolAdapter
from keeper.core.values import replace
from keeper.oracle.watcher import PriceWatcher
from keeper.scanner.scan import Book

REMEMBERED: Final = 2**15
"""Accounts; of more at once those refused longest ago are told anew when they are again."""


class Telling:
    """Remembers what was said last of each account of one deployment."""

    def __init__(
        self,
        adapter: ProtocolAdapter[Any, Any],
        watcher: PriceWatcher,
        journal: Journal,
        observer: Observer,
    ) -> None:
        """Say nothing yet."""
        self._adapter = adapter
        self._watcher = watcher
        self._journal = journal
        self._observer = observer
        self.told: dict[AccountRef, Rejection] = {}
        """The newest reason why an account was left alone."""

    async def tell(self, rejected: Sequence[Rejection], book: Book[Any, Any]) -> None:
        """Journal and report each rejection whose reason is new for its account."""
        for one in (self._remarked(one, book) for one in rejected):
            if one.reason in (Reason.BACKING_OFF, Reason.DISARMED):
                continue
            await self._journal.reject(self._adapter.deployment, one)
            before = self.told.pop(one.ref, None)
            self._remember(one)
            if before is None or before.reason is not one.reason:
                self._observer.rejected(self._adapter.deployment, one)

    def _remember(self, rejection: Rejection) -> None:
        """Note a reason as the newest of all; forget the oldest of too many."""
        self.told[rejection.ref] = rejection
        if len(self.told) > REMEMBERED:
            del self.told[next(iter(self.told))]

    def _remarked(self, rejection: Rejection, book: Book[Any, Any]) -> Rejection:
        """Return the rejection with what is to be known of the feeds behind the account."""
        remarks, position = self._watcher.remarks, book.positions.get(rejection.ref)
        if not remarks or position is None:
            return rejection
        feeds = self._adapter.feeds_of(book.market, position)
        said = dict.fromkeys(remarks[key] for key in sorted(feeds & remarks.keys()))
        return replace(rejection, detail="; ".join((rejection.detail, *said)))
