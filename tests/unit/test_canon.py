"""An outcome that a reorg undid is open again for everybody at once."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from keeper.core.chain import Transaction
from keeper.core.plan import Intent, Settled, Status
from keeper.executor.canon import Canon
from keeper.executor.flight import Flight
from tests.support.ledger_records import EXECUTOR, block, hash32, plan
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
UNDONE = Settled(intent=INTENT, outcome_status=Status.LANDED, block=101, block_hash=hash32(0xDEAD))
KEY = (PLAN.ref.market, PLAN.ref.account)


@dataclass(slots=True)
class Books:
    """A journal of one outcome that waits, amid opening it anew, until a test lets it go on."""

    free: bool = True
    """Whether nothing has taken its place."""
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    revised: list[Any] = field(default_factory=list)

    async def settled_since(self, _block: int) -> list[Settled]:
        return [UNDONE]

    async def reopen(self, _plan_id: str) -> bool:
        self.asked.set()
        await self.go_on.wait()
        return self.free

    async def revise(self, outcome: Any) -> None:
        self.revised.append(outcome)


class NothingOnChain:
    async def outcome_on_chain(self, _intent: Intent) -> None:
        return None


def reviewed(books: Any, flight: Flight) -> "asyncio.Task[Any]":
    settler: Any = NothingOnChain()
    reader: Any = None
    canon = Canon(journal=books, reader=reader, flight=flight, depth=64)
    return asyncio.create_task(canon.review(block(101), settler))


async def test_it_waits_for_who_is_just_sending() -> None:
    books, flight = Books(), Flight()
    async with flight.numbered():
        reviewing = reviewed(books, flight)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not books.asked.is_set()
        assert KEY not in flight.busy
    books.go_on.set()
    await reviewing
    assert KEY in flight.busy


@pytest.mark.parametrize("free", [True, False])
async def test_nothing_is_sent_between_the_journal_and_the_flight(*, free: bool) -> None:
    books, flight = Books(free=free), Flight()
    reviewing = reviewed(books, flight)
    await books.asked.wait()
    assert flight.numbering
    books.go_on.set()
    await reviewing
    assert not flight.numbering
    assert (KEY in flight.busy) is free
    assert bool(books.revised) is not free
