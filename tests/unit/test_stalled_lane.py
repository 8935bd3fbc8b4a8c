"""A relay, builder or node that does not answer: what is sent besides does not wait for it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.core.joint import Joint
from keeper.core.plan import Plan, Status, Submission
from keeper.core.tick import Tick
from keeper.core.units import WAD
from keeper.executor.armament import Armament
from keeper.executor.desks import Desks
from keeper.executor.door import Grounds
from keeper.executor.executor import Executor
from keeper.executor.flight import Flight
from keeper.executor.lanes.bundle import BundleLane
from keeper.executor.lanes.lane import Delivery, Refused, Taken
from keeper.executor.lanes.private import PrivateLane
from keeper.executor.nonce import NonceKeeper
from keeper.executor.signing import SigningDesk
from keeper.executor.verdicts import Report
from keeper.ledger.journal import SqliteJournal
from tests.support.disarmed import LIMITS
from tests.support.eventually import eventually
from tests.support.fake_wire import FakeWire
from tests.support.ledger_records import DEPLOYMENT, opened
from tests.support.prearm_yard import PRICE, SPENT, salvo
from tests.support.prearm_yard import Yard as PrearmYard
from tests.support.rehearsal_node import FUTURE, HEAD, Node, decoders, done
from tests.support.signed_plans import ONE, SIGNER, TWO, signed

BY_TRANSACTION = {one.transaction: one for one in (ONE, TWO)}
FIRST = 5


@dataclass
class Stalling:
    """A lane that is asked over HTTP, and answers to the first nonce when it is told to."""

    name: str = "relay"
    public: bool = False
    expires: bool = False
    asked: list[int] = field(default_factory=list)
    answer: "asyncio.Future[Delivery]" = field(default_factory=asyncio.Future)

    def prime(self, _submission: Submission) -> None:
        return None

    def post(self, _submission: Submission) -> None:
        return None

    async def send(self, submissions: Sequence[Submission]) -> list[Delivery]:
        nonces = [one.nonce for one in submissions]
        self.asked += nonces
        first = [await self.answer] if FIRST in nonces else []
        return first + [Taken()] * (len(nonces) - len(first))


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    found = await opened(tmp_path)
    yield found
    await found.close()


class Chain:
    """What the executor reads."""

    async def balance(self, *_: Any) -> int:
        return 100 * WAD

    async def nonce(self, *_: Any) -> int:
        return FIRST


def armed(journal: SqliteJournal, lane: Any) -> Executor:
    wire, chain, standing = FakeWire(used=FIRST), Chain(), SimpleNamespace(halted=None)
    nonces = NonceKeeper(wire, SIGNER.address)
    desks = Desks([SigningDesk(chain_id=31337, signer=SIGNER, wire=wire, nonces=nonces)])
    said: Any = {"reader": chain, "overrides": {}, "now": lambda: 1_700_000_000}
    node = Node(lambda _, one: done(BY_TRANSACTION[one]))
    return Executor(
        Grounds(simulator=node, limits=LIMITS, **said),
        journal=journal,
        flight=Flight(),
        standing=standing,  # type: ignore[arg-type]
        armament=Armament(desks=desks, lane=lane, tenders=()),
    )


def carrying_out(executor: Executor, plan: Plan) -> "asyncio.Task[Report]":
    joint = Joint(plans=[plan])
    work = executor.carry_out(joint, HEAD, FUTURE, decoders(), lambda *_: None)
    return asyncio.create_task(work)


async def asked(lane: Stalling, many: int) -> None:
    await eventually(lambda: len(lane.asked) >= many)


async def test_others_are_sent_while_a_lane_does_not_answer(journal: SqliteJournal) -> None:
    lane = Stalling()
    executor = armed(journal, lane)
    first = carrying_out(executor, ONE)
    await asked(lane, 1)
    try:
        async with asyncio.timeout(10):
            report = await carrying_out(executor, TWO)
        assert not first.done()
    finally:
        lane.answer.set_result(Taken())
    assert [one.nonce for one in report.sent] == [FIRST + 1]
    assert [one.nonce for one in (await first).sent] == [FIRST]
    assert [one.status for one in await journal.open_intents()] == [Status.SENT] * 2


async def test_what_is_refused_below_others_keeps_its_nonce(journal: SqliteJournal) -> None:
    """Else nothing of theirs could land; it is tended like what missed its block."""
    lane = Stalling()
    executor = armed(journal, lane)
    first = carrying_out(executor, ONE)
    await asked(lane, 1)
    await carrying_out(executor, TWO)
    lane.answer.set_result(Refused(why="too late"))
    report = await first
    assert (report.sent, [one.detail for one in report.rejected]) == ((), ["too late"])
    assert executor.flight.held(SIGNER.address) == {FIRST, FIRST + 1}
    assert len(await journal.open_intents()) == 2


async def test_what_is_signed_ahead_for_another_price_is_sent_meanwhile(
    journal: SqliteJournal,
) -> None:
    yard, lane = PrearmYard(journal), Stalling()
    yard.armament.lane = yard.prearm.aftermath._lane = lane
    await yard.load()
    one, two = yard.shots
    await yard.prearm.load(DEPLOYMENT, [salvo(one), salvo(two, feed="btc")], SPENT)
    running = asyncio.create_task(yard.prearm.aftermath.run())
    for feed in ("eth", "btc"):
        assert yard.prearm.fire(DEPLOYMENT, feed, PRICE - 1, 101, Tick()) == 1
    await asked(lane, 2)
    lane.answer.set_result(Taken())
    async with asyncio.timeout(10):
        for _ in range(2):
            await yard.booked_one.get()
    assert lane.asked == [FIRST, FIRST + 1]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@dataclass
class Slow:
    """A relay that answers when it is told to, each at its time."""

    name: str = "slow"
    asked: list[str] = field(default_factory=list)
    answers: "list[asyncio.Future[None]]" = field(default_factory=list)

    async def ask(self, method: str, *_: Any) -> object:
        self.asked.append(method)
        self.answers.append(asyncio.Future())
        await self.answers[-1]
        return True


@pytest.mark.parametrize("kind", ["private", "bundle"])
async def test_what_takes_back_does_not_overtake_what_is_on_its_way(kind: str) -> None:
    relay, sent, other = Slow(), signed(ONE, FIRST), signed(TWO, FIRST + 1)
    lane: Any = (
        PrivateLane(relay, name="relay", blocks=5)
        if kind == "private"
        else BundleLane([relay], name="relay")
    )
    working = [asyncio.create_task(lane.send([sent])), asyncio.create_task(lane.send([other]))]
    await asyncio.sleep(0.01)
    working += [asyncio.create_task(lane.withdraw(one)) for one in (sent, other)]
    await asyncio.sleep(0.01)
    assert [method.startswith("eth_send") for method in relay.asked] == [True, True]
    relay.answers[1].set_result(None)
    await asyncio.sleep(0.01)
    assert [method.startswith("eth_send") for method in relay.asked] == [True, True, False]
    for place in (0, 2):
        relay.answers[place].set_result(None)
    await asyncio.sleep(0.01)
    relay.answers[3].set_result(None)
    assert await asyncio.gather(*working) == [[Taken()], [Taken()], True, True]
