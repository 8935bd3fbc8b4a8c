"""A lane that says no after what it was asked to send was looked after already."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.core.chain import Simulated
from keeper.core.plan import Purpose, Submission
from keeper.core.tick import Tick
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.executor.armament import Armament
from keeper.executor.desks import Desks
from keeper.executor.executor import Executor
from keeper.executor.flight import Flight
from keeper.executor.lanes.lane import Delivery, Refused, Taken
from keeper.executor.means import Means, Patience
from keeper.executor.nonce import NonceKeeper
from keeper.executor.prearm import Prearm
from keeper.executor.salvo import Salvo, Shot
from keeper.executor.signing import SigningDesk
from keeper.executor.tending import Tender
from keeper.ledger.journal import SqliteJournal
from tests.support.fake_wire import FakeWire
from tests.support.ledger_records import DEPLOYMENT, block, opened, plan
from tests.support.signed_plans import SIGNER
from tests.unit.test_tending import LIMITS, NOTHING

NONCE, PRICE = 5, 1_500
ONE = replace(plan(1), transaction=replace(plan(1).transaction, sender=SIGNER.address))


@dataclass
class SlowLane:
    """A relay that takes its time to refuse what it is sent first, and takes what comes then."""

    expires: bool
    name: str = "relay"
    public: bool = False
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    taken: list[Submission] = field(default_factory=list)

    def prime(self, _submission: Submission) -> None:
        return None

    def post(self, _submission: Submission) -> None:
        return None

    async def send(self, submissions: Sequence[Submission]) -> list[Delivery]:
        if not self.asked.is_set():
            self.asked.set()
            await self.answers.wait()
            return [Refused(why="too late")] * len(submissions)
        self.taken += submissions
        return [Taken()] * len(submissions)

    async def withdraw(self, _submission: Submission) -> bool:
        return True


class Chain:
    """What the executor reads, and runs: everything would revert by now."""

    async def balance(self, *_: Any) -> int:
        return 100 * WAD

    async def nonce(self, *_: Any) -> int:
        return NONCE

    async def simulate(self, transactions: Sequence[Any], **_: Any) -> list[Simulated]:
        one = Simulated(success=False, gas_used=0, logs=(), return_data=b"", error="healthy")
        return [one] * len(transactions)


class Yard:
    """What signs ahead and what tends, over a real journal."""

    def __init__(self, journal: SqliteJournal, lane: SlowLane) -> None:
        self.journal, self.flight, chain = journal, Flight(), Chain()
        wire: Any = FakeWire(used=NONCE)
        standing: Any = SimpleNamespace(halted=None, review=lambda: asyncio.sleep(0))
        self.desk = SigningDesk(
            chain_id=31337,
            signer=SIGNER,
            wire=wire,
            nonces=NonceKeeper(wire, SIGNER.address, highest=NONCE - 1),
        )
        decoders = SimpleNamespace(wrapped_native="", recipient="")
        shared: Any = {"journal": journal, "flight": self.flight}
        usual: Any = {"simulator": chain, "limits": LIMITS, "overrides": {}}
        means = Means(
            **shared,
            **usual,
            wire=wire,
            desk=self.desk,
            lane=lane,  # type: ignore[arg-type]
            auditor_of=lambda _: SimpleNamespace(decoders=decoders),  # type: ignore[arg-type,return-value]
            on_stuck=lambda *_: None,
        )
        patience = Patience(replace_after_blocks=0, block_time_s=1, halt_on_foreign_nonce=True)
        tender = Tender(means, patience, standing, on_settled=lambda *_: None)
        armament = Armament(desks=Desks([self.desk]), lane=lane, tenders=(tender,))  # type: ignore[arg-type]
        grounds: Any = SimpleNamespace(
            **usual, reader=chain, now=lambda: 1_700_000_000, share=None, batches=None
        )
        self.executor = Executor(grounds, **shared, standing=standing, armament=armament)
        self.prearm = Prearm(self.executor, armament, journal=journal, limits=LIMITS)
        self.lane = lane

    async def fire(self) -> Submission:
        """Send what was signed ahead, as far as the lane."""
        await self.desk.nonces.take(1, ())
        signed = self.desk.sign_ahead(ONE, nonce=NONCE, target_block=102, lane=self.lane.name)
        shot = Shot(
            plan=ONE,
            submission=signed,
            price=PRICE,
            is_under=lambda _: False,
            feeds=frozenset({"eth"}),
        )
        salvo = Salvo(feed="eth", falls=True, shots=(shot,), lowest=1, highest=2_000, block=100)
        await self.prearm.load(DEPLOYMENT, [salvo], NOTHING)
        assert self.prearm.fire(DEPLOYMENT, "eth", PRICE, 101, Tick()) == 1
        return signed


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    found = await opened(tmp_path)
    yield found
    await found.close()


async def tended_before_the_answer(yard: Yard) -> Submission:
    """Let two blocks come before the relay answers; return what it is about."""
    sent = await yard.fire()
    booking = asyncio.create_task(yard.prearm.aftermath.run())
    await yard.lane.asked.wait()
    await yard.executor.tend(block(102))
    yard.lane.answers.set()
    await asyncio.sleep(0.1)
    assert not booking.done(), booking.exception()
    booking.cancel()
    await asyncio.gather(booking, return_exceptions=True)
    return sent


async def test_what_took_the_place_of_a_transaction_stays_open_when_that_is_refused(
    journal: SqliteJournal,
) -> None:
    yard = Yard(journal, SlowLane(expires=False))
    sent = await tended_before_the_answer(yard)
    (cancels,) = yard.lane.taken
    assert (cancels.purpose, cancels.nonce) == (Purpose.CANCEL, NONCE)
    (intent,) = await journal.open_intents()
    assert intent.attempts == (cancels, sent)
    assert yard.flight.held(SIGNER.address) == {NONCE}


async def test_what_is_offered_at_an_old_head_aims_at_the_block_after_the_newest(
    journal: SqliteJournal,
) -> None:
    """As where a keeper is held up: what it sends then has not missed blocks that were there."""
    yard = Yard(journal, SlowLane(expires=False))
    yard.executor.head_seen(block(110))
    await tended_before_the_answer(yard)
    (cancels,) = yard.lane.taken
    assert cancels.target_block == 111
    await yard.executor.tend(block(110))
    assert yard.lane.taken == [cancels]


async def test_what_was_given_up_meanwhile_is_no_fault_when_it_is_refused(
    journal: SqliteJournal,
) -> None:
    yard = Yard(journal, SlowLane(expires=True))
    await tended_before_the_answer(yard)
    assert (await journal.open_intents(), yard.flight.airborne) == ([], {})
    assert yard.lane.taken == []
