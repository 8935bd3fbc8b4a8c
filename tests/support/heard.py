"""An observer that remembers what it heard."""

# ruff: noqa: ARG002 - the port's arguments

from dataclasses import dataclass, field

from keeper.core.chain import BlockRef
from keeper.core.lending import Rejection
from keeper.core.pending import PendingPrice
from keeper.core.plan import Outcome, Plan, Submission
from keeper.core.taken import Taken


@dataclass(slots=True)
class Heard:
    blocks: list[int] = field(default_factory=list)
    under: dict[int, int] = field(default_factory=dict)
    """Accounts under the line, by block."""
    plans: list[Plan] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    pauses: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    resumptions: list[str] = field(default_factory=list)
    skips: list[str] = field(default_factory=list)
    foreseens: list[tuple[PendingPrice, int]] = field(default_factory=list)
    takens: list[Taken] = field(default_factory=list)

    def progressed(self, deployment: str, what: str, done: int, of: int) -> None: ...

    def begun(self, deployment: str) -> None: ...

    def mirrored(self, deployment: str, block: BlockRef, accounts: int) -> None: ...

    def scanned(self, deployment: str, block: BlockRef, under: int, moved: str) -> None:
        self.blocks.append(block.number)
        self.under[block.number] = under

    def sent(self, plan: Plan, submission: Submission) -> None: ...

    def shown(self, plan: Plan) -> None:
        self.plans.append(plan)

    def settled(self, outcome: Outcome) -> None: ...

    def rejected(self, deployment: str, rejection: Rejection) -> None:
        self.rejections.append(rejection)

    def skipped(self, deployment: str, why: str) -> None:
        self.skips.append(why)

    def paused(self, deployment: str, why: str) -> None:
        self.pauses.append(why)

    def lost(self, deployment: str) -> None:
        self.losses.append(deployment)

    def resumed(self, deployment: str) -> None:
        self.resumptions.append(deployment)

    def foreseen(self, deployment: str, pending: PendingPrice, under: int) -> None:
        self.foreseens.append((pending, under))

    def taken(self, taken: Taken) -> None:
        self.takens.append(taken)
