"""What was said of accounts: why they were left alone, told where it is new, and what was shown."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from keeper.app.observer import Observer
from keeper.core.lending import AccountRef, Reason, Rejection
from keeper.core.plan import Plan
from keeper.core.ports import Journal, ProtocolAdapter
from keeper.core.taken import Shown
from keeper.core.values import replace
from keeper.oracle.watcher import PriceWatcher
from keeper.scanner.scan import Book

T = TypeVar("T")

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
        self.shown: dict[AccountRef, Shown] = {}
        """The newest plan of an account that was shown and not sent."""

    async def tell(self, rejected: Sequence[Rejection], book: Book[Any, Any]) -> None:
        """Journal and report each rejection whose reason is new for its account."""
        for one in (self._remarked(one, book) for one in rejected):
            if one.reason in (Reason.BACKING_OFF, Reason.DISARMED):
                continue
            await self._journal.reject(self._adapter.deployment, one)
            before = _remember(self.told, one.ref, one)
            if before is None or before.reason is not one.reason:
                self._observer.rejected(self._adapter.deployment, one)

    def show(self, plan: Plan) -> None:
        """Report what would have been sent; the journal has it."""
        shown = Shown(head=plan.opportunity.block.number, net=plan.forecast.net)
        _remember(self.shown, plan.ref, shown)
        self._observer.shown(plan)

    def _remarked(self, rejection: Rejection, book: Book[Any, Any]) -> Rejection:
        """Return the rejection with what is to be known of the feeds behind the account."""
        remarks, position = self._watcher.remarks, book.positions.get(rejection.ref)
        if not remarks or position is None:
            return rejection
        feeds = self._adapter.feeds_of(book.market, position)
        said = dict.fromkeys(remarks[key] for key in sorted(feeds & remarks.keys()))
        return replace(rejection, detail="; ".join((rejection.detail, *said)))


def _remember(known: dict[AccountRef, T], ref: AccountRef, said: T) -> T | None:
    """Note what was said as the newest of all, and return what was before; forget the oldest."""
    before = known.pop(ref, None)
    known[ref] = said
    if len(known) > REMEMBERED:
        del known[next(iter(known))]
    return before
