"""A tender over a real journal and real signatures, with a chain that a test sets by hand."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keeper.core.plan import Intent, Outcome, Plan, Submission
from keeper.core.units import WAD, Address
from keeper.core.values import replace
from keeper.evm.signed_transaction import decode_signed
from keeper.executor.breaker import BreakerLimits
from keeper.executor.flight import Flight
from keeper.executor.lanes.lane import Delivery, Taken
from keeper.executor.nonce import NonceKeeper
from keeper.executor.policy import Exposure
from keeper.executor.settler import Auditor
from keeper.executor.signing import SigningDesk
from keeper.executor.standing import Standing, Triggers
from keeper.executor.tending import Means, Patience, Tender
from keeper.executor.totals import Share
from keeper.ledger.journal import SqliteJournal
from tests.support.disarmed import LIMITS
from tests.support.fake_wire import FakeWire
from tests.support.ledger_records import VALUATION, HandClock, block, opened
from tests.support.rehearsal_node import Node, decoders, done, failed
from tests.support.signed_plans import ONE, SIGNER, TWO, signed

HEAD = block(101)
"""The target of what was sent; there it is overdue after no patience."""
NOBODY = BreakerLimits(max_reverts_in_row=None, max_loss_per_day=None, max_wasted_gas_per_hour=None)


BY_TRANSACTION = {one.transaction: one for one in (ONE, TWO)}


@dataclass
class WatchedLane:
    """A lane that sees whether what it is given is on disk."""

    journal: SqliteJournal
    public: bool = True
    expires: bool = False
    name: str = "mempool"
    answer: Delivery = field(default_factory=Taken)
    sent: list[Submission] = field(default_factory=list)
    asked: int = 0
    withdrawn: list[Submission] = field(default_factory=list)

    async def send(
        self, submissions: Sequence[Submission], *, lead: bytes | None = None
    ) -> list[Delivery]:
        assert lead is None
        self.asked += 1
        on_disk = await self.journal.open_submissions()
        assert all(one in on_disk for one in submissions), "as it is, with the block it aims at"
        self.sent += submissions
        return [self.answer] * len(submissions)

    async def withdraw(self, submission: Submission) -> bool:
        self.withdrawn.append(submission)
        return True


@dataclass(slots=True)
class CountingOn(FakeWire):
    """A node that counts one more nonce after so many questions for it."""

    grows_after: int = 10**6

    async def nonce(self, sender: Address, *, pending: bool) -> int:
        found = await FakeWire.nonce(self, sender, pending=pending)
        return found + (len(self.asked_nonces) > self.grows_after)


class Yard:
    """A tender over a real journal, real signatures and a chain by hand."""

    def __init__(self, journal: SqliteJournal, folder: Path) -> None:
        self.journal = journal
        self.halt_file = folder / "halt"
        self.wire = CountingOn(used=5)
        self.clock = HandClock()
        self.flight = Flight()
        self.lane = WatchedLane(journal)
        self.node = Node(lambda _, one: done(BY_TRANSACTION[one]))
        self.patience = Patience(
            replace_after_blocks=0, block_time_s=12, halt_on_foreign_nonce=True
        )
        self.limits = LIMITS
        self.share: Share | None = None
        self.settled: list[tuple[Intent, Outcome]] = []
        self.desk = SigningDesk(
            chain_id=31337,
            signer=SIGNER,
            wire=self.wire,
            nonces=NonceKeeper(self.wire, SIGNER.address, highest=9, now=self.clock.monotonic),
        )
        triggers = Triggers(breaker=NOBODY, halt_file=self.halt_file)
        self.standing = Standing(journal, triggers, now=lambda: 0.0)

    async def value_at(self, *_: object) -> Any:
        return VALUATION

    def tender(self) -> Tender:
        means = Means(
            wire=self.wire,
            simulator=self.node,
            journal=self.journal,
            flight=self.flight,
            desk=self.desk,
            lane=self.lane,
            limits=self.limits,
            auditor_of=lambda _: Auditor(decoders=decoders(), value_at=self.value_at),
            on_stuck=lambda *_: None,
            overrides={},
            share=self.share,
        )
        return Tender(
            means,
            self.patience,
            self.standing,
            on_settled=lambda intent, outcome: self.settled.append((intent, outcome)),
        )

    async def send(self, of: Plan, nonce: int, *, lane: str = "mempool") -> Submission:
        """Journal a transaction as sent, and let the node have it if that is in public."""
        submission = replace(signed(of, nonce), lane=lane)
        await self.journal.seal([(of, submission)])
        await self.journal.record_all_sent([submission])
        self.flight.took_off(of, submission)
        self.desk.nonces.used(nonce)
        if lane == "mempool":
            self.wire.pending.add(submission.tx_hash)
        return submission

    async def tend(
        self, number: int = HEAD.number, *, timestamp: int | None = None, **exposed: Any
    ) -> list[Submission]:
        """Tend once; return what went out by the lane."""
        head = block(number)
        head = head if timestamp is None else replace(head, timestamp=timestamp)
        before = len(self.lane.sent)
        exposure = Exposure(
            spent_hour=0,
            spent_day=0,
            at_stake=0,
            in_flight=0,
            busy=frozenset(),
            balances={SIGNER.address: 100 * WAD},
        )
        exposure = replace(exposure, **exposed)
        await self.tender().tend(head, exposure.by_now(self.flight))
        return self.lane.sent[before:]

    def fails(self, *plans: Plan) -> None:
        """Have these revert when they are run again."""
        losers = {one.transaction for one in plans}
        self.node.answer = lambda _, one: (
            failed("healthy") if one in losers else done(BY_TRANSACTION[one])
        )

    async def newest(self) -> list[Submission]:
        """Return the newest transaction of each open intent, as the journal has it."""
        return [one.attempts[0] for one in await self.journal.open_intents()]


@asynccontextmanager
async def yard_in(folder: Path) -> AsyncIterator[Yard]:
    """A yard whose journal is in that folder; the one it has at the end is closed."""
    yard = Yard(await opened(folder), folder)
    yield yard
    await yard.journal.close()


def decoded(one: Submission) -> tuple[Address, bytes, int, int]:
    """Return what the signed bytes do: whom they call, with what, gas limit and nonce."""
    found = decode_signed(one.raw, sender=SIGNER.address)
    return found.transaction.to, found.transaction.data, found.gas_limit, found.nonce
