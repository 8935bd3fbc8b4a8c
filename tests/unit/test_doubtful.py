"""What was signed ahead before a crash, and is on no node: watched until its fate is known."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from keeper.core.plan import Plan, Status, Submission
from keeper.core.values import replace
from keeper.executor.doubtful import Doubtful
from keeper.executor.flight import Flight
from keeper.executor.recovery import recover_armed
from keeper.ledger.journal import SqliteJournal
from tests.support.fake_wire import FakeWire
from tests.support.ledger_records import block, ended, opened, plan
from tests.support.signed_plans import SIGNER, signed

NONCE, DEPTH, HEAD = 7, 3, 200


def mine(number: int) -> Plan:
    one = plan(number)
    return replace(one, transaction=replace(one.transaction, sender=SIGNER.address))


ONE, TWO = mine(1), mine(2)
SENT = signed(ONE, NONCE)


@dataclass
class Watch:
    """A journal and a node, as they are after a crash."""

    journal: SqliteJournal
    wire: FakeWire = field(default_factory=lambda: FakeWire(used=NONCE))
    flight: Flight = field(default_factory=Flight)

    async def begin(self, *armed: tuple[Plan, Submission]) -> None:
        await self.journal.arm(armed)
        await self.start()

    async def start(self) -> None:
        """Start, once more where one did before."""
        self.flight = Flight(await self.journal.open_intents())
        self.doubtful = Doubtful(
            await recover_armed(self.journal, self.wire, self.flight),
            journal=self.journal,
            wire=self.wire,
            flight=self.flight,
            depth=DEPTH,
        )

    async def open(self, of: Plan, nonce: int) -> None:
        """Send what takes the place of what nobody knows of."""
        own = signed(of, nonce, max_fee=40 * 10**9)
        await self.journal.seal([(of, own)])
        self.flight.took_off(of, own)

    def land(self) -> None:
        """Let it have landed after all."""
        self.wire.used = NONCE + 1
        self.wire.include(SENT.tx_hash, HEAD)

    async def look(self, number: int) -> tuple[list[str], list[str]]:
        """Look at a head; return the plans that are open, and armed, then."""
        await self.doubtful.look(block(number))
        opened_now = await self.journal.open_intents()
        flying = [one.intent for one in self.flight.airborne.values()]
        assert [(one.plan_id, one.submission) for one in opened_now] == [
            (one.plan_id, one.submission) for one in flying
        ]
        armed = await self.journal.armed()
        return [one.plan_id for one in opened_now], [one.plan_id for one in armed]


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[Watch]:
    journal = await opened(tmp_path)
    yield Watch(journal)
    await journal.close()


async def test_what_lands_after_all_is_an_open_intent(watch: Watch) -> None:
    await watch.begin((ONE, SENT))
    assert await watch.look(HEAD) == ([], [ONE.id])
    watch.wire.used = NONCE + 1
    watch.wire.include(SENT.tx_hash, HEAD + 1)
    assert await watch.look(HEAD + 1) == ([ONE.id], [])
    assert watch.flight.airborne[ONE.id].intent.submission == SENT
    assert await watch.look(HEAD + 99) == ([ONE.id], [])


async def test_what_the_node_has_a_moment_later_is_an_open_intent_before_it_lands(
    watch: Watch,
) -> None:
    await watch.begin((ONE, SENT))
    watch.wire.pending.add(SENT.tx_hash)
    watch.wire.queued = 1
    assert await watch.look(HEAD) == ([ONE.id], [])
    assert (ONE.ref.market, ONE.ref.account) in watch.flight.busy
    assert watch.flight.held(SIGNER.address) == {NONCE}


async def test_what_is_pending_of_another_intent_is_not_looked_up(watch: Watch) -> None:
    await watch.begin((ONE, SENT))
    await watch.open(TWO, NONCE)
    watch.wire.queued = 1
    assert await watch.look(HEAD) == ([TWO.id], [ONE.id])


async def test_what_was_signed_anew_is_watched_as_well(watch: Watch) -> None:
    anew = signed(ONE, NONCE + 1)
    watch.journal.spool.prepare()
    watch.journal.note(anew)
    await watch.begin((ONE, SENT))
    watch.wire.used = NONCE + 2
    watch.wire.include(anew.tx_hash, HEAD)
    assert await watch.look(HEAD) == ([ONE.id], [])
    assert watch.flight.airborne[ONE.id].intent.submission == anew


async def test_it_is_forgotten_once_something_else_has_its_nonce_for_good(watch: Watch) -> None:
    await watch.begin((ONE, SENT))
    watch.wire.used = NONCE + 1
    for depth in range(DEPTH):
        assert await watch.look(HEAD + depth) == ([], [ONE.id])
    assert await watch.look(HEAD + DEPTH) == ([], [])


async def test_a_reorg_that_frees_its_nonce_begins_the_wait_anew(watch: Watch) -> None:
    await watch.begin((ONE, SENT))
    watch.wire.used = NONCE + 1
    await watch.look(HEAD)
    watch.wire.used = NONCE
    await watch.look(HEAD + 1)
    watch.wire.used = NONCE + 1
    assert await watch.look(HEAD + DEPTH) == ([], [ONE.id])
    assert await watch.look(HEAD + 2 * DEPTH) == ([], [])


async def test_what_was_signed_anew_is_watched_by_the_start_after_the_next_too(
    watch: Watch,
) -> None:
    anew = signed(ONE, NONCE + 1)
    watch.journal.note(anew)
    await watch.begin((ONE, SENT))
    await watch.start()
    assert await watch.journal.signed_with(SIGNER.address, NONCE + 1) == [anew.tx_hash]
    watch.wire.used = NONCE + 2
    watch.wire.include(anew.tx_hash, HEAD)
    assert await watch.look(HEAD) == ([ONE.id], [])
    assert watch.flight.airborne[ONE.id].intent.attempts == (anew,)


@pytest.mark.parametrize("newer", [replace(ONE, id="newer"), TWO], ids=["account", "nonce"])
async def test_its_account_and_its_nonce_have_one_open_intent_at_a_time(
    watch: Watch, newer: Plan
) -> None:
    await watch.begin((ONE, SENT))
    await watch.open(newer, NONCE)
    watch.land()
    assert await watch.look(HEAD) == ([newer.id], [ONE.id])
    await watch.journal.settle(ended(newer, Status.DROPPED))
    watch.flight.landed(newer.id)
    assert await watch.look(HEAD + 1) == ([ONE.id], [])


@pytest.mark.parametrize(
    ("newer", "nonce"),
    [(replace(ONE, id="newer"), NONCE + 1), (TWO, NONCE)],
    ids=["account", "nonce"],
)
async def test_a_start_finds_it_landed_while_another_is_open(
    watch: Watch, newer: Plan, nonce: int
) -> None:
    await watch.begin((ONE, SENT))
    await watch.open(newer, nonce)
    watch.land()
    await watch.start()
    assert await watch.look(HEAD) == ([newer.id], [ONE.id])
    await watch.journal.settle(ended(newer, Status.DROPPED))
    watch.flight.landed(newer.id)
    assert await watch.look(HEAD + 1) == ([ONE.id], [])


async def test_nothing_is_opened_while_others_look_for_open_intents(watch: Watch) -> None:
    await watch.begin((ONE, SENT))
    watch.wire.used = NONCE + 1
    watch.wire.include(SENT.tx_hash, HEAD)
    newer = replace(ONE, id="newer")
    own = signed(newer, NONCE, max_fee=40 * 10**9)
    async with watch.flight.numbered():
        looking = asyncio.ensure_future(watch.look(HEAD))
        await asyncio.sleep(0.05)
        watch.flight.took_off(newer, own)
        await watch.journal.seal([(newer, own)])
    assert await looking == ([newer.id], [ONE.id])


async def test_where_nodes_tell_otherwise_the_others_do_not_wait(watch: Watch) -> None:
    other = signed(TWO, NONCE, max_fee=50 * 10**9)
    await watch.begin((ONE, SENT), (TWO, other))
    watch.wire.used = NONCE + 1
    watch.wire.disputed.add(SENT.tx_hash)
    watch.wire.include(other.tx_hash, HEAD)
    assert await watch.look(HEAD) == ([TWO.id], [ONE.id])


async def test_nobody_is_asked_where_nothing_is_in_doubt(watch: Watch) -> None:
    await watch.begin()
    await watch.look(HEAD)
    assert watch.wire.asked_nonces == []


async def test_a_sender_is_asked_for_once_at_a_head_however_much_is_in_doubt(watch: Watch) -> None:
    await watch.begin((ONE, SENT), (TWO, signed(TWO, NONCE, max_fee=50 * 10**9)))
    await watch.look(HEAD)
    assert watch.wire.asked_nonces == [SIGNER.address] * 2  # with what is pending, and without
