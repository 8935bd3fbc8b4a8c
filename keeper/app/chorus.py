"""Several observers as one."""

from collections.abc import Sequence

from keeper.app.observer import Observer
from keeper.core.chain import BlockRef
from keeper.core.lending import Rejection
from keeper.core.pending import PendingPrice
from keeper.core.plan import Outcome, Plan, Submission
from keeper.core.taken import Taken


class Chorus:
    """Tells each fact to every observer, in order."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        """Make an observer of observers."""
        self._observers = observers

    def progressed(self, deployment: str, what: str, done: int, of: int) -> None:
        """Tell how far the cold start is."""
        for one in self._observers:
            one.progressed(deployment, what, done, of)

    def begun(self, deployment: str) -> None:
        """Tell that a deployment was read at a start, and nothing of it is paused."""
        for one in self._observers:
            one.begun(deployment)

    def mirrored(self, deployment: str, block: BlockRef, accounts: int) -> None:
        """Tell that a mirror is at a block."""
        for one in self._observers:
            one.mirrored(deployment, block, accounts)

    def scanned(self, deployment: str, block: BlockRef, under: int, moved: str) -> None:
        """Tell how many accounts are under the line."""
        for one in self._observers:
            one.scanned(deployment, block, under, moved)

    def sent(self, plan: Plan, submission: Submission) -> None:
        """Tell of a send."""
        for one in self._observers:
            one.sent(plan, submission)

    def shown(self, plan: Plan) -> None:
        """Tell what would have been sent."""
        for one in self._observers:
            one.shown(plan)

    def rejected(self, deployment: str, rejection: Rejection) -> None:
        """Tell why an opportunity is not taken."""
        for one in self._observers:
            one.rejected(deployment, rejection)

    def settled(self, outcome: Outcome) -> None:
        """Tell how an intent ended."""
        for one in self._observers:
            one.settled(outcome)

    def skipped(self, deployment: str, why: str) -> None:
        """Tell that a block was passed over."""
        for one in self._observers:
            one.skipped(deployment, why)

    def paused(self, deployment: str, why: str) -> None:
        """Tell of a pause."""
        for one in self._observers:
            one.paused(deployment, why)

    def lost(self, deployment: str) -> None:
        """Tell that a deployment is not read any more."""
        for one in self._observers:
            one.lost(deployment)

    def resumed(self, deployment: str) -> None:
        """Tell that a pause was lifted."""
        for one in self._observers:
            one.resumed(deployment)

    def foreseen(self, deployment: str, pending: PendingPrice, under: int) -> None:
        """Tell what a price in the mempool would do."""
        for one in self._observers:
            one.foreseen(deployment, pending, under)

    def taken(self, taken: Taken) -> None:
        """Tell what somebody else liquidated."""
        for one in self._observers:
            one.taken(taken)
