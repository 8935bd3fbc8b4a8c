"""What is open again is so in the journal and in flight at once: nothing is sent in between."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from keeper.core.plan import Intent, Settled, Status
from keeper.executor.canon import GONE, Canon
from keeper.executor.flight import Flight
from tests.support.canon_chain import INTENT, PLAN
from tests.support.ledger_records import block, hash32
from tests.support.signed_plans import SIGNER

UNDONE = Settled(intent=INTENT, outcome_status=Status.LANDED, block=101, block_hash=hash32(0xDEAD))
KEY = (PLAN.ref.market, PLAN.ref.account)


@dataclass(slots=True)
class Books:
    """A journal of one outcome that waits, amid opening it anew, until a test lets it go on."""

    free: bool = True
    """Whether nothing has taken its nonce."""
    status: Status = Status.SENT
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    revised: list[Any] = field(default_factory=list)

    async def unfinal(self) -> list[Settled]:
        return [UNDONE]

    async def reopen(self, _plan_id: str) -> Status | None:
        self.asked.set()
        await self.go_on.wait()
        return self.status if self.free else None

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


async def test_an_intent_whose_account_has_another_is_in_flight_to_be_cancelled() -> None:
    flight, books = Flight(), Books(status=Status.UNDONE)
    books.go_on.set()
    assert await reviewed(books, flight) == []
    (one,) = flight.airborne.values()
    assert one.cancelled
    assert flight.held(SIGNER.address) == {5}
    assert flight.transactions() == ()


async def test_what_a_reorg_undid_twice_over_is_given_up() -> None:
    flight = Flight()
    books = Books(free=False)
    books.go_on.set()
    (gone,) = await reviewed(books, flight)
    assert (gone.status, gone.detail) == (Status.DROPPED, GONE)
