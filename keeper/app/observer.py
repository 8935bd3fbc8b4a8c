"""What the daemon tells whoever watches it: one call per fact, none of which may block."""

from typing import Protocol

from keeper.core.chain import BlockRef
from keeper.core.lending import Rejection
from keeper.core.pending import PendingPrice
from keeper.core.plan import Outcome, Plan, Submission
from keeper.core.taken import Taken


class Observer(Protocol):
    """Hears what a daemon does."""

    def progressed(self, deployment: str, what: str, done: int, of: int) -> None:
        """Hear how far the cold start is."""
        ...

    def begun(self, deployment: str) -> None:
        """Hear that a deployment was read at a start, and that nothing of it is paused."""
        ...

    def mirrored(self, deployment: str, block: BlockRef, accounts: int) -> None:
        """Hear that the mirror of a deployment is at a block."""
        ...

    def scanned(self, deployment: str, block: BlockRef, under: int, moved: str) -> None:
        """Hear how many accounts are under the line, and which prices moved."""
        ...

    def sent(self, plan: Plan, submission: Submission) -> None:
        """Hear that a liquidation was sent."""
        ...

    def shown(self, plan: Plan) -> None:
        """Hear what an armed keeper would have sent."""
        ...

    def rejected(self, deployment: str, rejection: Rejection) -> None:
        """Hear why an opportunity is not taken; told when the reason changes."""
        ...

    def settled(self, outcome: Outcome) -> None:
        """Hear how an intent ended."""
        ...

    def skipped(self, deployment: str, why: str) -> None:
        """Hear that a block was passed over because it could not be read."""
        ...

    def paused(self, deployment: str, why: str) -> None:
        """Hear that a deployment, or a market of it, is not acted on any more, and why."""
        ...

    def lost(self, deployment: str) -> None:
        """Hear that a deployment is not read any more: what was known of its loans is old."""
        ...

    def resumed(self, deployment: str) -> None:
        """Hear that a pause was lifted by a person, or that what failed was opened anew."""
        ...

    def foreseen(self, deployment: str, pending: PendingPrice, under: int) -> None:
        """Hear how many accounts a price in the mempool would bring under the line."""
        ...

    def taken(self, taken: Taken) -> None:
        """Hear that somebody else liquidated an account, and why it was not us."""
        ...
