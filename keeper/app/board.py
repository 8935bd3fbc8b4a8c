"""What the daemon did last, kept for the status page, and counted for metrics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from keeper.core.chain import BlockRef
from keeper.core.lending import Rejection
from keeper.core.pending import PendingPrice
from keeper.core.plan import Outcome, Plan, Submission
from keeper.core.taken import Taken
from keeper.telemetry.tallies import Tallies

_MOST_REJECTED: Final = 200
"""Accounts whose reasons are shown: the latest."""


@dataclass(slots=True, kw_only=True)
class DeploymentFacts:
    """What is known of a deployment."""

    seen_at: float
    """When its mirror last was brought to a head, in the board's seconds."""
    block: int = 0
    accounts: int | None = None
    under: int | None = None
    """None while nobody knows: it is not read yet, or not any more."""
    moved: str = ""
    paused: str = ""
    skipped: str = ""
    """Why the newest block was passed over, empty when it was not."""


class Board:
    """An observer that remembers the newest facts. It holds a bounded number of them."""

    def __init__(self, tallies: Tallies, *, now: Callable[[], float]) -> None:
        """Remember from ``now`` on: seconds that never go back."""
        self.now = now
        self.started_at = now()
        self.deployments: dict[str, DeploymentFacts] = {}
        self.rejections: dict[tuple[str, str, str], Rejection] = {}
        """The latest reason of each account, by deployment, market and address."""
        self._tallies = tallies

    def of(self, deployment: str) -> DeploymentFacts:
        """Return what is known of a deployment."""
        return self.deployments.setdefault(deployment, DeploymentFacts(seen_at=self.now()))

    def problems(self, stall_s: float, *, since: float = 0.0) -> Mapping[str, str]:
        """Return why, for each deployment that stands still; ``since`` when it has to move."""
        now = self.now()
        ages = {
            name: now - max(facts.seen_at, since)
            for name, facts in self.deployments.items()
            if not facts.paused
        }
        return {
            name: f"no block was mirrored for {age:.0f} s: {self.of(name).skipped}".strip(": ")
            for name, age in ages.items()
            if age > stall_s
        }

    def progressed(self, deployment: str, what: str, done: int, of: int) -> None:
        """Take no note: the log has it."""

    def begun(self, deployment: str) -> None:
        """Note that a pause from before the chain was opened again is over."""
        if self.of(deployment).paused:
            self.resumed(deployment)

    def mirrored(self, deployment: str, block: BlockRef, accounts: int) -> None:
        """Note the mirror's block."""
        facts = self.of(deployment)
        facts.seen_at, facts.block, facts.accounts = self.now(), block.number, accounts
        facts.skipped = ""
        self._tallies.mirrored(deployment, block.number, accounts)

    def scanned(self, deployment: str, block: BlockRef, under: int, moved: str) -> None:  # noqa: ARG002 - the port's
        """Note how many are under the line."""
        facts = self.of(deployment)
        facts.under, facts.moved = under, moved
        self._tallies.under(deployment, under)

    def sent(self, plan: Plan, submission: Submission) -> None:
        """Count a send."""
        self._forget(plan)
        self._tallies.sent(plan.deployment, submission.lane)

    def shown(self, plan: Plan) -> None:
        """Count what would have been sent."""
        self._forget(plan)
        self._tallies.shown(plan.deployment)

    def rejected(self, deployment: str, rejection: Rejection) -> None:
        """Note the latest reason of an account."""
        key = (deployment, rejection.ref.market, rejection.ref.account)
        self.rejections.pop(key, None)
        self.rejections[key] = rejection
        if len(self.rejections) > _MOST_REJECTED:
            del self.rejections[next(iter(self.rejections))]
        self._tallies.rejected(deployment, rejection.reason.value)

    def settled(self, outcome: Outcome) -> None:
        """Count how an intent ended; the books are asked what it was."""
        self._tallies.settled(outcome)

    def skipped(self, deployment: str, why: str) -> None:
        """Note why a block was passed over."""
        if deployment in self.deployments:
            self.deployments[deployment].skipped = why
        self._tallies.skipped(deployment)

    def paused(self, deployment: str, why: str) -> None:
        """Note a pause."""
        self.of(deployment).paused = why
        self._tallies.paused(deployment, is_paused=True)

    def lost(self, deployment: str) -> None:
        """Forget what was known of its loans; its block stays, and ages."""
        facts = self.of(deployment)
        facts.accounts, facts.under, facts.moved = None, None, ""
        self._tallies.lost(deployment)

    def resumed(self, deployment: str) -> None:
        """Note that a pause is over."""
        facts = self.of(deployment)
        facts.paused, facts.seen_at = "", self.now()
        self._tallies.paused(deployment, is_paused=False)

    def foreseen(self, deployment: str, pending: PendingPrice, under: int) -> None:  # noqa: ARG002 - the port's
        """Count a price of the mempool."""
        self._tallies.foreseen(deployment)

    def taken(self, taken: Taken) -> None:
        """Count what somebody else liquidated."""
        self._tallies.taken(taken)

    def _forget(self, plan: Plan) -> None:
        self.rejections.pop((plan.deployment, plan.ref.market, plan.ref.account), None)
