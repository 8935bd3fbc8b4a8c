"""What was settled, and what the chain says of it by now, as a test sets it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from keeper.core.chain import BlockRef, Transaction
from keeper.core.errors import RefusedError, StaleError, TransientError
from keeper.core.plan import Intent, Outcome, Settled, Status
from keeper.core.units import Hash32
from keeper.core.values import replace
from keeper.executor.canon import Canon
from keeper.executor.flight import Flight
from tests.support.ledger_records import EXECUTOR, block, landed, plan
from tests.support.signed_plans import SIGNER, signed

PLAN = replace(plan(1), transaction=Transaction(sender=SIGNER.address, to=EXECUTOR, data=b"\x01"))
INTENT = Intent(
    plan_id=PLAN.id,
    deployment=PLAN.deployment,
    ref=PLAN.ref,
    status=Status.LANDED,
    tip=PLAN.tip,
    deadline=PLAN.deadline,
    submission=signed(PLAN, 5),
)
DEPTH = 10
OTHER = replace(plan(2), transaction=PLAN.transaction)


def in_block(number: int, *, intent: Intent = INTENT, status: Status = Status.LANDED) -> Settled:
    return Settled(
        intent=intent, outcome_status=status, block=number, block_hash=block(number).hash
    )


def on_chain(intent: Intent, number: int) -> Outcome:
    assert intent.submission is not None
    outcome = landed(PLAN, intent.submission)
    return replace(outcome, plan_id=intent.plan_id, block=number, block_hash=block(number).hash)


@dataclass(slots=True)
class Chain:
    """Journal, reads and receipts by hand: of what was settled, and what the chain says of it."""

    settled: list[Settled]
    found: dict[str, Outcome] = field(default_factory=dict)
    """What is on the canonical chain, by plan."""
    untold_blocks: set[int] = field(default_factory=set)
    disputed: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    away: set[str] = field(default_factory=set)
    """Whose receipts the node is away for."""
    unreadable: set[str] = field(default_factory=set)
    stuck_of: list[str] = field(default_factory=list)
    hashes: dict[int, Hash32] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    loads: int = 0
    used: int = 0
    is_nonce_untold: bool = False
    final: list[str] = field(default_factory=list)
    revised: list[Outcome] = field(default_factory=list)
    reopened: list[str] = field(default_factory=list)
    flight: Flight = field(default_factory=Flight)
    told: list[Outcome] = field(default_factory=list)

    async def unfinal(self) -> list[Settled]:
        self.loads += 1
        return self.settled

    async def finish(self, plan_ids: Sequence[str]) -> None:
        self.final += plan_ids

    async def reopen(self, plan_id: str) -> Status | None:
        self.reopened.append(plan_id)
        return Status.SENT

    async def revise(self, outcome: Outcome) -> None:
        self.revised.append(outcome)

    async def block(self, number: int) -> BlockRef:
        if number in self.untold_blocks:
            raise StaleError("told otherwise")
        return replace(block(number), hash=self.hashes.get(number, block(number).hash))

    async def outcome_on_chain(self, intent: Intent) -> Outcome | None:
        self.asked.append(intent.plan_id)
        if intent.plan_id in self.unreadable:
            raise KeyError(intent.plan_id)
        if intent.plan_id in self.disputed:
            raise StaleError("told otherwise")
        if intent.plan_id in self.refused:
            raise RefusedError("pruned")
        if intent.plan_id in self.away:
            raise TransientError("gone")
        return self.found.get(intent.plan_id)

    async def nonce(self, _address: str, _block: BlockRef) -> int:
        if self.is_nonce_untold:
            raise StaleError("told otherwise")
        return self.used

    def stuck(self, intent: Intent, error: Exception) -> None:
        assert isinstance(error, KeyError)
        self.stuck_of.append(intent.plan_id)

    def canon(self, on_reopened: Callable[[Intent], None] = lambda _: None) -> Canon:
        journal: Any = self
        reader: Any = self
        return Canon(
            journal=journal,
            reader=reader,
            flight=self.flight,
            depth=DEPTH,
            on_corrected=self.told.append,
            on_reopened=on_reopened,
        )

    async def review(
        self, number: int, *, on_reopened: Callable[[Intent], None] = lambda _: None
    ) -> list[Outcome]:
        settler: Any = self
        return await self.canon(on_reopened).review(block(number), settler)


def given_up() -> Settled:
    submission = INTENT.submission
    assert submission is not None
    late = replace(INTENT, submission=replace(submission, target_block=80))
    return Settled(intent=late, outcome_status=Status.DROPPED, block=None, block_hash=None)
