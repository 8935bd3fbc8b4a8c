"""A halt that comes when transactions are signed already, and not sent yet."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.core.joint import Joint
from keeper.core.plan import Plan, Submission
from keeper.core.values import replace
from keeper.executor.armament import Armament
from keeper.executor.desks import Desks
from keeper.executor.executor import Executor
from keeper.executor.flight import Flight
from keeper.executor.lanes.lane import Delivery
from keeper.executor.lanes.mempool import MempoolLane
from keeper.executor.nonce import NonceKeeper
from keeper.executor.signing import SigningDesk
from keeper.ledger.journal import SqliteJournal
from tests.support.fake_wire import FakeWire
from tests.support.ledger_records import opened, plan
from tests.support.signed_plans import SIGNER

NONCE = 5


def made(number: int) -> Plan:
    one, data = plan(number), bytes([number])
    return replace(one, transaction=replace(one.transaction, sender=SIGNER.address, data=data))


@dataclass
class HaltedAfterSealing:
    """A journal, and a person who halts while it writes."""

    journal: SqliteJournal
    halted: str | None = None
    sealed: list[Submission] = field(default_factory=list)

    async def seal(self, pairs: Sequence[tuple[Plan, Submission]]) -> None:
        await self.journal.seal(pairs)
        self.sealed += [one for _, one in pairs]
        self.halted = "by hand"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.journal, name)


@dataclass
class Socket(FakeWire):
    """A node whose socket is open."""

    def post_raw(self, raw: bytes) -> Awaitable[Any] | None:
        return self.send_raw(raw)


class BreakingLane(MempoolLane):
    """A lane in which something of ours breaks at the second transaction."""

    out = 0

    def post(self, submission: Submission) -> Awaitable[Delivery] | None:  # noqa: ARG002 - the port's
        if self.out:
            raise RuntimeError("amid sending")
        self.out += 1
        return asyncio.get_running_loop().create_future()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    found = await opened(tmp_path)
    yield found
    await found.close()


async def test_a_halt_between_signature_and_wire_sends_nothing_and_frees_the_nonces(
    journal: SqliteJournal,
) -> None:
    wire, flight, both = Socket(used=NONCE), Flight(), [made(1), made(2)]
    book: Any = HaltedAfterSealing(journal)
    nonces = NonceKeeper(wire, SIGNER.address)
    desks = Desks([SigningDesk(chain_id=31337, signer=SIGNER, wire=wire, nonces=nonces)])
    armament = Armament(desks=desks, lane=MempoolLane(wire), tenders=())
    grounds: Any = SimpleNamespace(
        batches=None, simulator=None, reader=None, overrides={}, share=None
    )  # nothing is judged or rehearsed
    executor = Executor(grounds, journal=book, flight=flight, standing=book, armament=armament)
    told: list[Plan] = []
    out = await executor._finish(both, Joint(plans=both), None)
    report = await executor._answered(out, lambda one, _: told.append(one))
    assert [one.nonce for one in book.sealed] == [NONCE, NONCE + 1]
    assert (wire.sent, told, report.sent) == ([], [], ())
    assert {one.detail for one in report.rejected} == {"nothing is sent: by hand"}
    assert await journal.open_intents() == []
    assert await nonces.take(1, flight.held(SIGNER.address)) == [NONCE]


async def test_what_breaks_amid_sending_leaves_open_on_disk_what_may_be_out(
    journal: SqliteJournal,
) -> None:
    wire, flight, both = FakeWire(used=NONCE), Flight(), [made(1), made(2)]
    nonces = NonceKeeper(wire, SIGNER.address)
    desks = Desks([SigningDesk(chain_id=31337, signer=SIGNER, wire=wire, nonces=nonces)])
    await desks.count(flight)
    lane = BreakingLane(wire)
    armament = Armament(desks=desks, lane=lane, tenders=())
    grounds: Any = SimpleNamespace(
        batches=None, simulator=None, reader=None, overrides={}, share=None
    )
    standing: Any = SimpleNamespace(halted=None)
    executor = Executor(
        grounds, journal=journal, flight=flight, standing=standing, armament=armament
    )
    executor._early.begin(both, armament, asks=True, signs=True)
    with pytest.raises(RuntimeError, match="amid sending"):
        await executor._finish(both, Joint(plans=both), None)
    await executor._early.end()
    assert lane.out == 1
    assert executor.seam.is_torn
    assert [one.plan_id for one in await journal.open_intents()] == [one.id for one in both]
    assert await journal.armed() == []
