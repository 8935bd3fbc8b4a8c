"""Plans that are signed and on disk while they are rehearsed: what goes is what was rehearsed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from keeper.core.errors import RefusedError
from keeper.core.plan import Intent, Plan, Status, Submission
from keeper.core.tick import Tick
from keeper.core.values import replace
from keeper.executor.armament import Armament
from keeper.executor.desks import Desks, Signed
from keeper.executor.early import Early
from keeper.executor.flight import Flight
from keeper.executor.lanes.mempool import MempoolLane
from keeper.executor.nonce import NonceKeeper
from keeper.executor.signing import SigningDesk
from keeper.executor.verdicts import unsent
from keeper.ledger.journal import SqliteJournal
from tests.support.fake_wire import FakeWire
from tests.support.ledger_records import opened, plan
from tests.support.signed_plans import SIGNER

NONCE, TARGET = 5, 108


def made(number: int) -> Plan:
    one, data = plan(number), bytes([number])
    return replace(one, transaction=replace(one.transaction, sender=SIGNER.address, data=data))


ONE, TWO = made(1), made(2)


class HiddenLane(MempoolLane):
    """A lane whose transactions no node tells of."""

    @property
    def public(self) -> bool:
        return False


@dataclass
class Bench:
    """A key, a chain and a database."""

    journal: SqliteJournal
    chain_id: int = 31337
    wire: FakeWire = field(default_factory=lambda: FakeWire(used=NONCE))
    flight: Flight = field(default_factory=Flight)

    def __post_init__(self) -> None:
        self.nonces = NonceKeeper(self.wire, SIGNER.address)
        desk = SigningDesk(
            chain_id=self.chain_id, signer=SIGNER, wire=self.wire, nonces=self.nonces
        )
        self.armament = Armament(desks=Desks([desk]), lane=MempoolLane(self.wire), tenders=())
        self.early = Early(self.flight, self.journal)

    async def begin(self, *plans: Plan, signs: bool = True) -> list[Intent]:
        """Begin with plans, and return what is armed once that is done."""
        await self.armament.desks.count(self.flight)
        self.early.begin(plans, self.armament, asks=True, signs=signs)
        if self.early._work is not None:
            await self.early._work
        return await self.journal.armed()

    async def signed(self, *plans: Plan) -> tuple[Signed, bool]:
        """Sign what came out of the rehearsal, and return whether that was done before."""
        tick = Tick()
        done, left = await self.early.signed(plans, self.armament, TARGET, tick)
        on_disk = {one.tx_hash for one in [*await self.open(), *await self.ahead()]}
        assert {one.tx_hash for _, one in done.pairs} <= on_disk
        await left()
        await self.early.end()
        assert await self.journal.armed() == []
        assert await self.open() == [one for _, one in done.pairs]
        assert (await self.nonces.take(1, ())) == [NONCE + len(plans)]
        return done, [stage for stage, _ in tick.marks] == ["journal", "sign"]

    async def open(self) -> list[Submission]:
        return await self.journal.open_submissions()

    async def ahead(self) -> list[Submission]:
        return [one.submission for one in await self.journal.armed() if one.submission]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    journal = await opened(tmp_path)
    yield Bench(journal)
    await journal.close()


async def test_what_comes_out_as_it_went_in_goes_as_it_was_signed(bench: Bench) -> None:
    ahead = await bench.begin(ONE, TWO)
    assert [one.submission.nonce for one in ahead if one.submission] == [NONCE, NONCE + 1]
    assert await bench.open() == []
    split = ONE.forecast
    rehearsed = replace(ONE, forecast=replace(split, gas=split.gas - 1, net=split.net + 1))
    done, was_early = await bench.signed(rehearsed, TWO)
    assert was_early
    assert [one for one, _ in done.pairs] == [rehearsed, TWO]
    assert [one.raw for _, one in done.pairs] == [
        one.submission.raw for one in ahead if one.submission
    ]
    assert {one.target_block for one in await bench.open()} == {TARGET}


@pytest.mark.parametrize(
    "other",
    [
        replace(ONE, gas_limit=ONE.gas_limit + 1),
        replace(ONE, transaction=replace(ONE.transaction, data=b"another")),
        replace(ONE, fees=replace(ONE.fees, priority_fee=ONE.fees.priority_fee + 1)),
        TWO,
    ],
)
async def test_what_comes_out_otherwise_is_signed_as_it_came_out(bench: Bench, other: Plan) -> None:
    await bench.begin(ONE)
    done, was_early = await bench.signed(other)
    assert not was_early
    ((found, submission),) = done.pairs
    expected, _ = SIGNER.sign(
        other.transaction, nonce=NONCE, gas_limit=other.gas_limit, fees=other.fees
    )
    assert (found, submission.raw) == (other, expected)


async def test_who_is_left_out_leaves_no_gap(bench: Bench) -> None:
    await bench.begin(ONE, TWO)
    done, was_early = await bench.signed(TWO)
    assert not was_early
    assert [one.nonce for _, one in done.pairs] == [NONCE]


async def test_of_what_is_not_sent_nothing_is_left(bench: Bench) -> None:
    assert await bench.begin(ONE, TWO)
    await bench.early.end()
    assert await bench.journal.armed() == []
    assert await bench.nonces.take(1, ()) == [NONCE]
    assert await bench.journal.tried([ONE]) == frozenset()


async def test_a_nonce_that_was_used_meanwhile_is_not_used_twice(bench: Bench) -> None:
    await bench.begin(ONE)
    bench.nonces.used(NONCE)
    done, _ = await bench.early.signed([ONE], bench.armament, TARGET, Tick())
    assert [one.nonce for _, one in done.pairs] == [NONCE + 1]
    await bench.early.end()


async def test_on_another_chain_nothing_is_signed(bench: Bench) -> None:
    bench = Bench(bench.journal, chain_id=1)
    assert await bench.begin(ONE) == []
    done, _ = await bench.early.signed([ONE], bench.armament, TARGET, Tick())
    assert done.pairs == ()
    assert done.refused == ((ONE, "chain id: expected 1, found 31337; nothing was signed"),)
    with pytest.raises(RefusedError):
        await bench.armament.desks.first.require_chain()


async def test_where_nobody_could_tell_whether_it_was_sent_nothing_is_early(bench: Bench) -> None:
    bench.armament = replace(bench.armament, lane=HiddenLane(bench.wire))
    assert await bench.begin(ONE) == []
    _, was_early = await bench.signed(ONE)
    assert not was_early


async def test_what_may_be_joined_with_others_is_signed_when_that_is_known(bench: Bench) -> None:
    assert await bench.begin(ONE, signs=False) == []
    _, was_early = await bench.signed(ONE)
    assert not was_early


async def test_a_nonce_that_is_not_known_is_asked_for_when_it_is_used(bench: Bench) -> None:
    bench.early.begin([ONE], bench.armament, asks=True, signs=True)
    done, was_early = await bench.signed(ONE)
    assert not was_early
    assert [one.nonce for _, one in done.pairs] == [NONCE]


async def test_what_was_shown_in_this_block_is_armed_and_sent(bench: Bench) -> None:
    await bench.journal.intend(ONE)
    await bench.journal.settle(unsent(ONE, Status.SIMULATED, "disarmed"))
    assert await bench.begin(ONE)
    _, was_early = await bench.signed(ONE)
    assert was_early


async def test_a_process_that_ends_meanwhile_leaves_what_the_node_knows(bench: Bench) -> None:
    (ahead,) = await bench.begin(ONE)
    assert ahead.submission is not None
    await bench.journal.fired([ahead.submission])
    (found,) = await bench.journal.open_intents()
    assert (found.status, found.attempts) == (Status.SIGNED, (ahead.submission,))
