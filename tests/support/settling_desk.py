"""A settler over a real journal, and a chain that a test sets by hand."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from keeper.core.chain import BlockRef, Log
from keeper.core.lending import AccountRef, Liquidation, Valuation
from keeper.core.plan import Intent, Outcome, Plan, Submission
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.executor.dividing import Decoders
from keeper.executor.flight import Flight
from keeper.executor.settler import Auditor, Settler
from keeper.ledger.journal import SqliteJournal
from tests.support.fake_wire import FakeBlocks, FakeWire
from tests.support.ledger_records import (
    EXECUTOR,
    FEES,
    VALUATION,
    WETH,
    HandClock,
    block,
    landed,
    opened,
)
from tests.support.rehearsal_node import RECIPIENT, transfer
from tests.support.signed_plans import ONE, signed

GAIN = 3 * WAD
GAS = 500_000 * (FEES.max_fee // 2) + 7
CONFIRMATIONS = 2
GAINED = transfer(WETH, EXECUTOR, RECIPIENT, GAIN)


def liquidations(_logs: Sequence[Log]) -> tuple[Liquidation, ...]:
    return landed(ONE, signed(ONE, 5)).liquidations


ValueAt = Callable[[BlockRef, AccountRef], Awaitable[Valuation | None]]


async def value_at(_block: BlockRef, _ref: AccountRef) -> Valuation | None:
    return VALUATION


def auditor(
    found: Callable[[Sequence[Log]], tuple[Liquidation, ...]], value_at: ValueAt = value_at
) -> Auditor:
    return Auditor(
        decoders=Decoders(
            liquidations=found,
            flash_fee=lambda _logs: None,
            wrapped_native=WETH,
            recipient=RECIPIENT,
        ),
        value_at=value_at,
    )


@dataclass
class Desk:
    """A settler over a real journal and a chain by hand."""

    journal: SqliteJournal
    wire: FakeWire = field(default_factory=lambda: FakeWire(used=5))
    flight: Flight = field(default_factory=Flight)
    foreign: list[Submission] = field(default_factory=list)
    liquidations: Callable[[Sequence[Log]], tuple[Liquidation, ...]] = liquidations
    value_at: ValueAt = value_at
    blocks: FakeBlocks = field(default_factory=lambda: FakeBlocks(last=0))
    settler: Settler | None = None
    told: list[tuple[Intent, Outcome]] = field(default_factory=list)
    clock: HandClock = field(default_factory=HandClock)

    async def send(self, of: Plan, nonce: int) -> Submission:
        """Journal a transaction as sent, and let the node have it."""
        submission = signed(of, nonce)
        await self.journal.seal([(of, submission)])
        await self.journal.record_all_sent([submission])
        self.flight.took_off(of, submission)
        self.wire.pending.add(submission.tx_hash)
        return submission

    async def settle(self, number: int, *, timestamp: int | None = None) -> list[Outcome]:
        self.blocks.last = number
        if self.settler is None:
            self.settler = self.made()
        head = block(number)
        return await self.settler.settle(
            head if timestamp is None else replace(head, timestamp=timestamp)
        )

    def made(self) -> Settler:
        return Settler(
            wire=self.wire,
            reader=self.blocks,
            journal=self.journal,
            flight=self.flight,
            auditor_of=lambda _name: auditor(self.liquidations, self.value_at),
            confirmations=CONFIRMATIONS,
            on_foreign=self.foreign.append,
            on_settled=lambda intent, outcome: self.told.append((intent, outcome)),
            now=self.clock.monotonic,
        )


@asynccontextmanager
async def desk_in(folder: Path) -> AsyncIterator[Desk]:
    """A desk whose journal is in that folder."""
    journal = await opened(folder)
    yield Desk(journal)
    await journal.close()
