"""Sending what was signed ahead: nonces, policy, the journal, and what stands in the way."""

import asyncio
from dataclasses import dataclass, field
from time import perf_counter_ns
from types import SimpleNamespace

import pytest

from keeper.core.chain import Fees
from keeper.core.errors import RefusedError
from keeper.core.plan import Status
from keeper.core.primed import Primed
from keeper.core.tick import Rung, Tick
from keeper.core.values import replace
from keeper.evm.signed_transaction import decode_signed
from keeper.evm.transaction import LocalSigner
from keeper.executor.arming import Arming
from keeper.executor.desks import Desks
from keeper.executor.door import Door, Grounds
from keeper.executor.flight import Flight
from keeper.executor.lanes.mempool import MempoolLane
from keeper.executor.nonce import NonceKeeper
from keeper.executor.policy import Exposure, Limits
from keeper.executor.prearm import Prearm
from keeper.executor.recovery import recover_armed
from keeper.executor.salvo import Salvo, Shot
from keeper.executor.signing import SigningDesk
from keeper.executor.totals import TotalLimits, Totals
from keeper.ledger.spool import Spool
from tests.support.fake_wire import FakeWire
from tests.support.ledger_records import DEPLOYMENT, block, ended, opened, plan, submission
from tests.support.signed_plans import SIGNER

FEED, PRICE, BLOCK = "eth", 1_500, 101
FIRST = 5
LIMITS = Limits(
    min_profit=1,
    max_gas_price=10**12,
    max_gas_per_tx=10**19,
    max_gas_per_hour=10**20,
    max_gas_per_day=10**20,
    max_in_flight=10,
    min_balance=0,
)
SPENT = Exposure(
    spent_hour=0,
    spent_day=0,
    at_stake=0,
    in_flight=0,
    busy=frozenset(),
    balances={SIGNER.address: 10**24},
)


class BugError(Exception):
    """Something that nobody foresaw."""


@dataclass
class PostingWire(FakeWire):
    """A node whose socket is open: what is posted is with it at once."""

    posted: list[bytes] = field(default_factory=list)

    is_open: bool = True

    def prime_raw(self, raw):
        def write():
            self.posted += [raw] * self.is_open
            return self.is_open

        return Primed(write=write, touch=lambda: True, answer=lambda: self.send_raw(raw))


def salvo(*shots, feed=FEED):
    return Salvo(feed=feed, falls=True, shots=shots, lowest=1_000, highest=2_000, block=100)


class Yard:
    """A prearm over a real journal and real signatures."""

    def __init__(self, journal):
        self.journal = journal
        self.wire = PostingWire(used=FIRST)
        self.flight = Flight()
        self.halted = None
        nonces = NonceKeeper(self.wire, SIGNER.address)
        self.desk = SigningDesk(chain_id=31337, signer=SIGNER, wire=self.wire, nonces=nonces)
        self.made = 0
        self.booked = []
        self.booked_one = asyncio.Queue()

        async def book(plans, submissions, deliveries):
            for one in zip(plans, submissions, deliveries, strict=True):
                self.booked.append(one)
                self.booked_one.put_nowait(one)

        self.over_totals = False
        self.executor = SimpleNamespace(
            flight=self.flight,
            standing=self,
            book=book,
            over_totals=lambda _: self.over_totals,
        )
        self.armament = SimpleNamespace(desks=Desks([self.desk]), lane=MempoolLane(self.wire))
        self.prearm = Prearm(self.executor, self.armament, journal=journal, limits=LIMITS)

    async def load(self, many=2, *, first=FIRST):
        await self.desk.nonces.take(1, ())
        self.shots = [self.shot(index, first + index) for index in range(many)]
        await self.prearm.load(DEPLOYMENT, [salvo(*self.shots)], SPENT)

    def limited(self, **limits):
        """Hold it to other limits."""
        self.prearm._limits = replace(LIMITS, **limits)

    def shot(self, index, nonce):
        one = plan(index + 1)
        self.made += 1
        one = replace(one, id=f"{one.id}@{self.made}")
        one = replace(
            one,
            transaction=replace(one.transaction, sender=SIGNER.address, data=bytes([index])),
        )
        submission = self.desk.sign_ahead(one, nonce=nonce, target_block=102, lane="mempool")
        return Shot(
            plan=one,
            submission=submission,
            price=PRICE - index,
            is_under=lambda _: False,
            feeds=frozenset({FEED}),
        )

    def fire(self, price=PRICE, block=BLOCK):
        return self.prearm.fire(DEPLOYMENT, FEED, price, block, Tick())

    async def settle(self, many=None):
        """Let the bookkeeping of all that was fired go through."""
        running = asyncio.ensure_future(self.prearm.run())
        for _ in range(many or len(self.flight.airborne)):
            booked = asyncio.ensure_future(self.booked_one.get())
            await asyncio.wait((booked, running), return_when=asyncio.FIRST_COMPLETED)
            if not booked.done():
                booked.cancel()
                await running
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    def nonces(self):
        return [decode_signed(raw, sender=SIGNER.address).nonce for raw in self.wire.posted]


@pytest.fixture
async def yard(tmp_path):
    journal = await opened(tmp_path)
    yield Yard(journal)
    await journal.close()


async def statuses(journal):
    return [one.status for one in await journal.open_intents()]


async def test_what_is_not_written_yet_when_a_halt_comes_is_not_sent(yard):
    yard.wire.is_open = False
    await yard.load(1)
    yard.wire.post_raw = lambda _: None
    assert yard.fire() == 1
    yard.halted = "by hand"
    await yard.settle()
    assert yard.wire.sent == []
    assert [delivery.why for _, _, delivery in yard.booked] == ["nothing is sent: by hand"]


async def test_what_is_signed_ahead_is_on_disk_and_no_open_intent(yard):
    await yard.load()
    assert [one.submission for one in await yard.journal.armed()] == [
        one.submission for one in yard.shots
    ]
    assert await yard.journal.open_intents() == []
    assert await yard.journal.gas_at_stake() == 0
    assert await yard.journal.highest_nonce(SIGNER.address) is None


async def test_the_price_sends_the_bytes_that_are_on_disk_and_opens_their_intents(yard):
    await yard.load()
    assert yard.fire(PRICE - 1) == 2
    assert yard.wire.posted == [one.submission.raw for one in yard.shots]
    await yard.settle()
    assert await statuses(yard.journal) == [Status.SIGNED] * 2
    assert await yard.journal.armed() == []
    assert [one[1] for one in yard.booked] == [one.submission for one in yard.shots]


async def test_a_prefix_leaves_no_gap_and_the_rest_follows_later(yard):
    await yard.load(3)
    assert (yard.fire(PRICE), yard.fire(PRICE - 2)) == (1, 2)
    assert yard.nonces() == [FIRST, FIRST + 1, FIRST + 2]
    await yard.settle()


async def test_an_account_is_never_sent_for_twice(yard):
    await yard.load(1)
    assert (yard.fire(), yard.fire()) == (1, 0)
    assert len(yard.wire.posted) == 1
    await yard.settle()


async def test_what_was_refused_is_not_sent_for_again_by_what_was_armed(yard):
    await yard.load(2)
    assert yard.fire() == 1
    await yard.settle()
    first = yard.shots[0]
    yard.flight.landed(first.plan.id)
    yard.desk.nonces.released(FIRST)
    await yard.journal.settle(ended(first.plan, Status.DROPPED))
    await yard.desk.nonces.take(1, ())  # as for whoever is sent in the ordinary way meanwhile
    assert yard.fire() == 0
    assert yard.fire(PRICE - 1) == 1
    await yard.settle()
    (intent,) = await yard.journal.open_intents()
    assert (intent.plan_id, intent.attempts[0].nonce) == (yard.shots[1].plan.id, FIRST)


async def test_an_account_that_was_sent_for_at_one_feeds_price_is_not_at_anothers(yard):
    await yard.load(1)
    (shot,) = yard.shots
    await yard.prearm.load(DEPLOYMENT, [salvo(shot), salvo(shot, feed="btc")], SPENT)
    assert yard.fire() == 1
    await yard.settle()
    yard.flight.landed(shot.plan.id)
    assert yard.prearm.fire(DEPLOYMENT, "btc", PRICE, BLOCK, Tick()) == 0


async def test_nothing_is_sent_where_the_budgets_over_all_chains_leave_no_room(yard):
    await yard.load(2)
    yard.over_totals = True
    assert yard.fire() == 0
    assert yard.wire.posted == []


async def test_what_one_price_brings_together_keeps_to_the_budgets_over_all_chains(yard):
    totals = Totals(TotalLimits(max_in_flight=2), now=lambda: 0)
    share = totals.share("one")
    share.opened(yard.flight, None)
    yard.executor.over_totals = Door(
        Grounds(reader=None, simulator=None, limits=LIMITS, now=None, overrides={}, share=share),
        journal=yard.journal,
        flight=yard.flight,
        desks=yard.armament.desks,
    ).over_totals
    await yard.load(4)
    assert yard.fire(PRICE - 3) == 2
    assert yard.nonces() == [FIRST, FIRST + 1]
    await yard.settle()


async def test_a_fault_in_a_write_ends_it_with_what_is_out_before_in_the_books(yard):
    await yard.load(2)
    seen = []

    def over_totals(one):
        seen.append(one)
        if len(seen) > 1:
            raise BugError
        return False

    yard.executor.over_totals = over_totals
    assert yard.fire(PRICE - 1) == 1
    assert yard.wire.posted == [yard.shots[0].submission.raw]
    assert list(yard.flight.airborne) == [yard.shots[0].plan.id]
    with pytest.raises(BugError):
        await yard.prearm.run()
    assert [one.plan_id for one in await yard.journal.open_intents()] == [yard.shots[0].plan.id]


async def test_a_fault_in_judging_one_salvo_leaves_what_the_one_before_sent_in_the_books(yard):
    await yard.load(1)

    def broken(_):
        raise BugError

    shots = tuple(replace(one, is_under=broken, price=PRICE - 1) for one in yard.shots)
    second = salvo(*shots)
    first = yard.prearm._salvos[DEPLOYMENT, FEED]
    yard.prearm._salvos[DEPLOYMENT, FEED] = (*first, second)
    near = [replace(one, price=10_000_000) for one in first[0].shots]
    yard.prearm._salvos[DEPLOYMENT, FEED] = (
        replace(first[0], shots=tuple(near), highest=20_000_000),
        replace(second, shots=(replace(shots[0], price=9_999_999),), highest=20_000_000),
    )
    with pytest.raises(BugError):
        yard.fire(10_000_000)
    assert len(yard.wire.posted) == 1
    await yard.settle()
    assert await statuses(yard.journal) == [Status.SIGNED]


async def test_a_nonce_that_went_elsewhere_is_signed_for_anew_and_noted_first(yard):
    await yard.load(1)
    yard.desk.nonces.used(FIRST)
    heard = []
    yard.prearm.on_fired(heard.append)
    assert yard.fire() == 1
    assert yard.nonces() == [FIRST + 1]
    (noted,) = yard.journal.noted()
    assert noted.raw == yard.wire.posted[0]
    await yard.settle()
    (intent,) = await yard.journal.open_intents()
    assert [one.nonce for one in intent.attempts] == [FIRST + 1]
    assert yard.journal.noted() == []
    assert [one.tick.rung for one in heard] == [Rung.PREPARED]


async def test_what_could_not_be_written_at_once_is_timed_until_it_was_answered(yard):
    await yard.load(1)
    yard.armament.lane.post = lambda _: None
    yard.wire.is_open = False
    heard, answered = [], []
    yard.prearm.on_fired(heard.append)
    send_raw = yard.wire.send_raw

    async def answer(raw):
        assert heard == []
        answered.append(perf_counter_ns())
        return await send_raw(raw)

    yard.wire.send_raw = answer
    assert yard.fire() == 1
    await yard.settle()
    ((stage, at),) = [one.tick.marks[-1] for one in heard]
    assert stage == "send"
    assert at >= answered[0]


@pytest.mark.parametrize("way", ["halt", "numbering", "unknown nonce", "old block", "touched"])
async def test_nothing_is_sent_while_something_stands_in_the_way(yard, way):
    await yard.load(1)
    block = BLOCK
    if way == "halt":
        yard.halted = "kill switch"
    elif way == "numbering":
        yard.flight.numbering = True
    elif way == "unknown nonce":
        yard.desk.nonces.resync()
    elif way == "old block":
        block = BLOCK + 1
    else:
        yard.prearm.touched(DEPLOYMENT, {yard.shots[0].ref})
    assert yard.fire(block=block) == 0
    assert yard.wire.posted == []


async def test_policy_is_asked_again_at_the_price(yard):
    await yard.load(2)
    in_flight = [plan(n) for n in range(20, 20 + LIMITS.max_in_flight - 1)]
    for nonce, one in enumerate(in_flight):
        yard.flight.took_off(one, submission(one, nonce=nonce))
    assert yard.fire(PRICE - 1) == 1
    assert yard.wire.posted == [yard.shots[0].submission.raw]
    await yard.settle(1)


@pytest.mark.parametrize("stale", [False, True])
async def test_what_one_shot_takes_of_the_limits_is_not_there_for_the_next(yard, stale):
    yard.limited(max_in_flight=2)
    await yard.load(3)
    if stale:  # what was cleared was so before this
        yard.flight.took_off(plan(9), submission(plan(9), nonce=1))
        yard.flight.landed(plan(9).id)
    assert yard.fire(PRICE - 2) == 2
    assert yard.wire.posted == [one.submission.raw for one in yard.shots[:2]]
    await yard.settle()
    yard.flight.landed(yard.shots[0].plan.id)
    assert yard.fire(PRICE - 2) == 1
    assert yard.wire.posted[2:] == [yard.shots[2].submission.raw]
    await yard.settle(1)


async def test_one_that_policy_refuses_keeps_no_other_from_being_sent(yard):
    await yard.load(3)
    dear = replace(yard.shots[1].plan, fees=Fees(max_fee=LIMITS.max_gas_price + 1, priority_fee=0))
    shots = [yard.shots[0], replace(yard.shots[1], plan=dear), yard.shots[2]]
    await yard.prearm.load(DEPLOYMENT, [], SPENT)
    await yard.prearm.load(DEPLOYMENT, [salvo(*shots)], SPENT)
    assert yard.fire(PRICE - 2) == 2
    # What comes behind the gap takes its nonce.
    assert yard.nonces() == [FIRST, FIRST + 1]
    assert set(yard.flight.airborne) == {shots[0].plan.id, shots[2].plan.id}
    await yard.settle()


async def test_what_was_cleared_is_judged_anew_once_an_account_is_out(yard):
    yard.limited(max_in_flight=1)
    await yard.load(2)
    yard.prearm.touched(DEPLOYMENT, {yard.shots[0].ref})
    assert yard.fire(PRICE - 1) == 1
    assert yard.wire.posted != [yard.shots[1].submission.raw], "its nonce is the next one"
    assert yard.nonces() == [FIRST]
    await yard.settle()


async def test_an_account_that_changed_elsewhere_or_with_another_feed_stays_where_it_is(yard):
    await yard.load(2)
    yard.prearm.touched("another", {one.ref for one in yard.shots})
    yard.prearm.moved("another", frozenset({"btc"}))
    yard.prearm.moved(DEPLOYMENT, frozenset({FEED, "btc"}))
    assert yard.prearm.holds(DEPLOYMENT) == 2
    both = replace(yard.shots[0], feeds=frozenset({FEED, "btc"}))
    await yard.prearm.load(DEPLOYMENT, [salvo(both, yard.shots[1])], SPENT)
    yard.prearm.moved(DEPLOYMENT, frozenset({"btc"}))
    assert yard.prearm.holds(DEPLOYMENT) == 1
    assert yard.fire(PRICE - 1) == 1
    assert list(yard.flight.airborne) == [yard.shots[1].plan.id]
    await yard.settle()


async def test_each_deployment_and_feed_has_its_own(yard):
    await yard.load(1)
    other = yard.shot(4, FIRST)
    await yard.prearm.load("another", [salvo(other, feed="btc")], SPENT)
    assert (yard.prearm.holds(DEPLOYMENT), yard.prearm.holds("another")) == (1, 1)
    assert yard.prearm.fire("another", FEED, PRICE - 9, BLOCK, Tick()) == 0
    assert yard.prearm.fire(DEPLOYMENT, "btc", PRICE - 9, BLOCK, Tick()) == 0
    yard.prearm.void("another")
    assert yard.prearm.fire("another", "btc", PRICE - 9, BLOCK, Tick()) == 0
    assert (yard.prearm.holds(DEPLOYMENT), yard.prearm.holds("another")) == (1, 0)
    assert yard.fire() == 1
    await yard.settle()


async def test_two_salvos_of_a_feed_are_both_fired(yard):
    await yard.load(2)
    one, two = yard.shots
    rising = replace(salvo(replace(two, price=PRICE)), falls=False)
    await yard.prearm.load(DEPLOYMENT, [salvo(one), rising], SPENT)
    assert yard.prearm.holds(DEPLOYMENT) == 2
    assert yard.fire(PRICE) == 2
    assert yard.nonces() == [FIRST, FIRST + 1]
    await yard.settle()


async def test_what_is_new_is_on_disk_before_it_takes_the_place_of_the_old(yard):
    await yard.load(1)
    old = yard.shots[0]
    arm, disarm, seen = yard.journal.arm, yard.journal.disarm, []

    async def watched(signed):
        seen.append([one.id for one, _ in signed])
        assert yard.prearm.holds(DEPLOYMENT) == 1
        await arm(signed)
        yard.standing_shots = yard.prearm._salvos[DEPLOYMENT, FEED][0].shots

    async def void(plan_ids):
        assert yard.prearm._salvos[DEPLOYMENT, FEED][0].shots[0].plan != old.plan
        await disarm(plan_ids)

    yard.journal.arm, yard.journal.disarm = watched, void
    await yard.load(2, first=FIRST + 3)
    assert seen == [[one.plan.id for one in yard.shots]]
    assert [one.plan for one in yard.standing_shots] == [old.plan]
    assert [one.plan_id for one in await yard.journal.armed()] == seen[0]


async def test_what_the_disk_did_not_take_is_never_fired(yard):
    async def broken(_):
        raise BugError

    yard.journal.arm = broken
    with pytest.raises(BugError):
        await yard.load(1)
    assert yard.prearm.holds(DEPLOYMENT) == 0
    assert yard.fire() == 0


async def test_what_is_on_disk_already_is_not_armed_again_and_keeps_its_plan(yard):
    await yard.load(1)
    (before,) = await yard.journal.armed()
    first = yard.shots[0]
    plan_again = replace(first.plan, id="planned again")
    again = replace(
        first, plan=plan_again, submission=replace(first.submission, plan_id=plan_again.id)
    )
    await yard.prearm.load(DEPLOYMENT, [salvo(again)], SPENT)
    assert await yard.journal.armed() == [before]
    assert yard.fire() == 1
    assert list(yard.flight.airborne) == [first.plan.id]
    await yard.settle()
    assert [one.plan_id for one in await yard.journal.open_intents()] == [first.plan.id]


async def test_before_anything_was_spent_is_known_nothing_passes(yard):
    await yard.load(1)
    yard.prearm._exposure = yard.prearm._now = None
    yard.flight.took_off(plan(9), submission(plan(9), nonce=1))
    assert yard.fire() == 0
    assert yard.prearm._mail.empty(), "and nothing is broken"


async def test_what_was_spent_meanwhile_counts_from_the_next_load_on(yard):
    await yard.load(1)
    yard.flight.took_off(plan(9), submission(plan(9), nonce=1))
    spent = replace(SPENT, spent_hour=LIMITS.max_gas_per_hour)
    await yard.prearm.load(DEPLOYMENT, [salvo(*yard.shots)], spent)
    assert yard.fire() == 0


async def test_what_is_not_armed_any_more_is_not_fired_whatever_feed_it_was_armed_for(yard):
    await yard.load(2)
    one, two = yard.shots
    await yard.prearm.load(DEPLOYMENT, [salvo(one), salvo(two, feed="btc")], SPENT)
    await yard.prearm.load(DEPLOYMENT, [salvo(one)], SPENT)
    assert yard.prearm.holds(DEPLOYMENT) == 1
    assert yard.prearm.fire(DEPLOYMENT, "btc", PRICE - 1, BLOCK, Tick()) == 0
    assert [found.plan_id for found in await yard.journal.armed()] == [one.plan.id]
    assert yard.fire() == 1
    await yard.settle()


async def test_a_lane_that_is_asked_over_http_is_asked_once_all_is_booked(yard):
    yard.wire.prime_raw = lambda _: None
    yard.wire.post_raw = lambda _: None
    await yard.load(2)
    heard = []
    yard.prearm.on_fired(lambda one: heard.append((one.answer, len(yard.wire.sent))))
    assert yard.fire(PRICE - 1) == 2
    assert (yard.wire.posted, yard.wire.sent) == ([], [])
    await yard.settle()
    assert yard.wire.sent == [one.submission.raw for one in yard.shots]
    assert heard == [(None, 2), (None, 2)]
    assert [one[1] for one in yard.booked] == [one.submission for one in yard.shots]


async def test_what_is_fired_is_booked_on_disk_before_anybody_hears_of_it(yard):
    await yard.load(2)
    heard = []

    def listen(fired):
        heard.append(
            (fired.submission.tx_hash, fired.tick.rung, [one for one, _ in fired.tick.marks])
        )
        assert booked == [True]

    booked = []
    fired = yard.journal.fired

    def watched(submissions):
        assert [one.raw for one in submissions] == yard.wire.posted
        answer = fired(submissions)

        async def wait():
            await answer
            booked.append(True)

        return wait()

    yard.journal.fired = watched
    yard.prearm.on_fired(listen)
    assert yard.fire(PRICE - 1) == 2
    await yard.settle()
    marks = ["look_up", "judge", "send"]
    assert heard == [(one.submission.tx_hash, Rung.PREARMED, marks) for one in yard.shots]


async def test_where_the_socket_is_gone_the_lane_is_asked_in_the_ordinary_way(yard):
    await yard.load(1)
    yard.wire.is_open = False
    assert yard.fire() == 1
    assert yard.wire.posted == []
    await yard.settle()
    assert yard.wire.sent == [yard.shots[0].submission.raw]


async def test_what_is_signed_ahead_is_spread_over_the_signers_each_with_its_own_nonces(yard):
    other = LocalSigner(bytes(31) + b"\x02", chain_id=31337)
    nonces = NonceKeeper(yard.wire, other.address)
    second = SigningDesk(chain_id=31337, signer=other, wire=yard.wire, nonces=nonces)
    yard.armament.desks = Desks([yard.desk, second])
    balances = dict.fromkeys(yard.armament.desks.addresses, 10**24)
    exposure = replace(SPENT, balances=balances)
    yard.executor.exposure = lambda _: asyncio.sleep(0, exposure)
    arming = Arming(
        prearm=yard.prearm, executor=yard.executor, armament=yard.armament, limits=LIMITS
    )
    await arming.ready(block(100))
    plans = [plan(n) for n in range(1, 6)]
    shots = [
        Shot(
            plan=one,
            submission=signed,
            price=PRICE - index,
            is_under=lambda _: False,
            feeds=frozenset({FEED}),
        )
        for index, (one, signed) in enumerate(arming.sign(plans, exposure, target_block=102))
    ]
    await yard.prearm.load(DEPLOYMENT, [salvo(*shots)], exposure)
    assert (yard.fire(PRICE - 2), yard.fire(PRICE - 4)) == (3, 2)
    assert yard.wire.posted == [one.submission.raw for one in shots]
    found = {one: [] for one in balances}
    for shot in shots:
        sender = shot.plan.transaction.sender
        assert shot.submission.sender == sender
        found[sender].append(decode_signed(shot.submission.raw, sender=sender).nonce)
    assert sorted(found.values()) == [[FIRST, FIRST + 1], [FIRST, FIRST + 1, FIRST + 2]]
    await yard.settle()


def arming(yard, limits=LIMITS):
    yard.executor.exposure = lambda _: asyncio.sleep(0, SPENT)
    return Arming(prearm=yard.prearm, executor=yard.executor, armament=yard.armament, limits=limits)


def ours(number, **changes):
    one = replace(plan(number), **changes)
    return replace(one, transaction=replace(one.transaction, sender=SIGNER.address))


async def test_what_policy_refuses_or_is_forced_is_not_signed_ahead_and_takes_no_nonce(yard):
    ready = arming(yard)
    exposure = await ready.ready(block(100))
    dear = ours(1, fees=Fees(max_fee=LIMITS.max_gas_price + 1, priority_fee=0))
    signed = ready.sign(
        [dear, ours(2), ours(3, forced=True, least_net=-1), ours(4)], exposure, target_block=102
    )
    assert [one.id for one, _ in signed] == [plan(2).id, plan(4).id]
    assert [submission.nonce for _, submission in signed] == [FIRST, FIRST + 1]


async def test_what_is_signed_ahead_counts_for_what_is_signed_behind_it(yard):
    ready = arming(yard, replace(LIMITS, max_in_flight=2))
    exposure = await ready.ready(block(100))
    signed = ready.sign([ours(1), ours(2), ours(3)], exposure, target_block=102)
    assert [one.id for one, _ in signed] == [plan(1).id, plan(2).id]


async def test_without_a_nonce_from_the_chain_nothing_is_signed_ahead(yard):
    assert arming(yard).sign([ours(1)], SPENT, target_block=102) == []


async def test_nothing_is_made_ready_on_another_chain(yard):
    yard.desk._chain_id = 1
    with pytest.raises(RefusedError, match="chain id: expected 1, found 31337"):
        await arming(yard).ready(block(100))


async def test_a_halt_and_whoever_waits_are_known_before_anything_is_planned_ahead(yard):
    ready, held = arming(yard), plan(1).ref
    yard.executor.waiting = lambda ref, at: "it failed" if (ref, at) == (held, 100) else None
    assert not ready.is_halted
    yard.halted = "somebody said so"
    assert ready.is_halted
    assert ready.waits(held, 100)
    assert not ready.waits(plan(2).ref, 100)


async def test_a_drill_goes_the_whole_way_and_sends_nothing(yard):
    await yard.load(2)
    assert yard.prearm.fire(DEPLOYMENT, FEED, PRICE - 1, BLOCK, Tick(), dry=True) == 1
    yard.desk.nonces.used(FIRST)
    assert yard.prearm.fire(DEPLOYMENT, FEED, PRICE - 1, BLOCK, Tick(), dry=True) == 1
    yard.wire.is_open = False
    assert yard.prearm.fire(DEPLOYMENT, FEED, PRICE - 1, BLOCK, Tick(), dry=True) == 1
    assert (yard.wire.posted, yard.journal.noted(), yard.flight.airborne) == ([], [], {})
    assert yard.wire.sent == []
    assert yard.prearm._mail.empty()
    assert yard.prearm.holds(DEPLOYMENT) == 2
    assert await yard.journal.open_intents() == []


async def test_what_is_void_is_off_the_disk_once_the_next_is_on_it(yard):
    await yard.load(2)
    await yard.load(1, first=FIRST + 3)
    (armed,) = await yard.journal.armed()
    assert armed.submission == yard.shots[0].submission


async def test_the_same_bytes_for_two_feeds_are_one_transaction(yard):
    await yard.load(1)
    twice = replace(yard.shots[0], plan=replace(yard.shots[0].plan, id="the same, elsewhere"))
    twice = replace(twice, submission=replace(twice.submission, plan_id=twice.plan.id))
    salvos = [
        Salvo(feed=feed, falls=True, shots=(one,), lowest=1, highest=2_000, block=100)
        for feed, one in ((FEED, yard.shots[0]), ("btc", twice))
    ]
    await yard.prearm.load(DEPLOYMENT, salvos, SPENT)
    assert len(await yard.journal.armed()) == 1
    assert yard.prearm.fire(DEPLOYMENT, "btc", PRICE, BLOCK, Tick()) == 1
    await yard.settle()
    assert await statuses(yard.journal) == [Status.SIGNED]


async def test_after_a_kill_what_the_node_has_is_an_open_intent_and_the_rest_is_in_doubt(yard):
    await yard.load(2)
    yard.wire.pending.add(yard.shots[1].submission.tx_hash)
    doubts = await recover_armed(yard.journal, yard.wire, yard.flight)
    (intent,) = await yard.journal.open_intents()
    assert intent.submission == yard.shots[1].submission
    assert [one.attempts for one in doubts] == [(yard.shots[0].submission,)]
    assert doubts == await yard.journal.armed()


async def test_after_a_kill_what_was_signed_anew_and_sent_is_found_by_its_note(yard):
    await yard.load(1)
    anew = yard.desk.renumbered(yard.shots[0].plan, yard.shots[0].submission, FIRST + 7)
    yard.journal.note(anew)
    yard.wire.pending.add(anew.tx_hash)
    await recover_armed(yard.journal, yard.wire, yard.flight)
    (intent,) = await yard.journal.open_intents()
    assert intent.attempts == (anew,)
    assert yard.journal.noted() == []


async def test_a_note_that_is_cut_short_is_not_taken_for_one(yard, tmp_path):
    await yard.load(1)
    yard.journal.note(yard.shots[0].submission)
    spool = tmp_path / "keeper.sqlite.spool"
    whole = spool.read_bytes().rstrip(b"\0")
    spool.write_bytes(whole + whole[: len(whole) // 2])
    assert yard.journal.noted() == [yard.shots[0].submission]


async def test_more_is_noted_than_there_is_room_for_and_after_a_restart_behind_the_rest(
    yard, tmp_path
):
    await yard.load(1)
    one = yard.shots[0].submission
    for _ in range(200):
        yard.journal.note(one)
    again = Spool(tmp_path / "keeper.sqlite.spool")
    again.append(one)
    assert again.read() == [one] * 201
    assert again.end > 1 << 16
    again.forget(again.end)
    assert again.read() == []
    again.append(one)
    assert again.read() == [one]
    again.close()


async def test_what_is_disarmed_is_off_the_disk_but_what_was_fired_before(yard):
    await yard.load(3)
    assert yard.fire() == 1
    await yard.prearm.disarm(DEPLOYMENT)
    assert yard.fire(PRICE - 2) == 0
    await yard.settle()
    assert await yard.journal.armed() == []
    (intent,) = await yard.journal.open_intents()
    assert intent.submission == yard.shots[0].submission
