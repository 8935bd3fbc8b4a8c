"""What a deployment does before a head tells it of a price.

An event is answered with what was signed ahead; an update that is still pending is looked into.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, TypeVar

from keeper.app.backrun import Backrun, Foreseen
from keeper.app.crossings import Ahead
from keeper.app.foresight import Foreseer
from keeper.app.prearming import Prearming
from keeper.core.chain import LogHint
from keeper.core.pending import PendingTransaction
from keeper.mirror.snapshot import Snapshot
from keeper.oracle.book import PriceBook

M = TypeVar("M")
P = TypeVar("P")


class Outlook(Generic[M, P]):
    """Hands on what comes before a head tells it, to whom the operator allows to act on that."""

    def __init__(
        self,
        foreseer: Foreseer,
        prearming: Prearming[M, P] | None,
        backrun: Backrun[M, P] | None,
    ) -> None:
        """Take who signs ahead and who sends behind a pending update; None is nobody."""
        self._foreseer = foreseer
        self.prearming = prearming
        self.backrun = backrun

    def loops(self) -> Iterator[Callable[[], Awaitable[None]]]:
        """Yield what runs as long as the deployment does."""
        if self.prearming is not None:
            yield self.prearming.run
        if self.backrun is not None:
            yield self.backrun.run

    def head_seen(self) -> None:
        """Hear that a block came."""
        self._foreseer.head_seen()

    def prepare(self, ahead: Ahead[M, P]) -> None:
        """Have signed ahead what a price may bring after a head."""
        if self.prearming is not None:
            self.prearming.offer(ahead)

    def hear_price(self, hint: LogHint, at_ns: int) -> None:
        """Answer a feed's event at once with what was signed ahead."""
        if self.prearming is not None:
            self.prearming.hear(hint, at_ns)

    def see_pending(
        self, transaction: PendingTransaction, prices: PriceBook, snapshot: Snapshot[M, P]
    ) -> None:
        """Tell what a pending transaction would do to the loans at hand, and have it acted on."""
        foresight = self._foreseer.see(transaction, prices)
        if foresight is not None and self.backrun is not None:
            self.backrun.offer(
                Foreseen(transaction=transaction, foresight=foresight, snapshot=snapshot)
            )

    def void(self) -> None:
        """Answer no price any more until something is signed ahead again."""
        if self.prearming is not None:
            self.prearming.void()

    def close(self) -> None:
        """Begin nothing more; what acts finishes what it has begun and ends."""
        for one in (self.prearming, self.backrun):
            if one is not None:
                one.close()
