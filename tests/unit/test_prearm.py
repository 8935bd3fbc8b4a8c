"""Sending what was signed ahead: at which price, by which bytes and nonces, and in what order."""

from time import perf_counter_ns

import pytest

from keeper.core.plan import Status
from keeper.core.tick import Rung, Tick
from keeper.core.values import replace
from keeper.executor.salvo import Salvo
from tests.support.ledger_records import DEPLOYMENT, ended
from tests.support.prearm_yard import BLOCK, FEED, FIRST, PRICE, SPENT, salvo, statuses, yard_in
from tests.support.signed_plans import SIGNER


@pytest.fixture
async def yard(tmp_path):
    async with yard_in(tmp_path) as made:
        yield made


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


async def test_a_nonce_that_went_elsewhere_is_signed_for_anew_and_noted_first(yard):
    await yard.load(1)
    yard.desk.nonces.used(FIRST)
    heard = []
    yard.prearm.aftermath.on_fired(heard.append)
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
    yard.prearm.aftermath.on_fired(heard.append)
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


async def test_an_event_that_moves_two_feeds_sends_for_both_though_signed_from_one_nonce_on(yard):
    await yard.load(1)
    other = yard.shot(1, FIRST)
    await yard.prearm.load(DEPLOYMENT, [salvo(*yard.shots), salvo(other, feed="btc")], SPENT)
    assert yard.fire() == 1
    assert yard.prearm.fire(DEPLOYMENT, "btc", PRICE - 1, BLOCK, Tick()) == 1
    assert yard.nonces() == [FIRST, FIRST + 1]
    assert [one.nonce for one in yard.journal.noted()] == [FIRST + 1]
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


async def test_a_lane_that_is_asked_over_http_is_asked_once_all_is_booked(yard):
    yard.wire.prime_raw = lambda _: None
    yard.wire.post_raw = lambda _: None
    await yard.load(2)
    heard = []
    yard.prearm.aftermath.on_fired(lambda one: heard.append((one.answer, len(yard.wire.sent))))
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
    yard.prearm.aftermath.on_fired(listen)
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


async def test_a_drill_goes_the_whole_way_and_sends_nothing(yard):
    await yard.load(2)
    assert yard.prearm.fire(DEPLOYMENT, FEED, PRICE - 1, BLOCK, Tick(), dry=True) == 1
    yard.desk.nonces.used(FIRST)
    assert yard.prearm.fire(DEPLOYMENT, FEED, PRICE - 1, BLOCK, Tick(), dry=True) == 1
    yard.wire.is_open = False
    assert yard.prearm.fire(DEPLOYMENT, FEED, PRICE - 1, BLOCK, Tick(), dry=True) == 1
    assert (yard.wire.posted, yard.journal.noted(), yard.flight.airborne) == ([], [], {})
    assert yard.wire.sent == []
    assert yard.prearm.aftermath._mail.empty()
    assert yard.prearm.holds(DEPLOYMENT) == 2
    assert await yard.journal.open_intents() == []


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


async def test_what_is_signed_anew_may_be_the_bytes_that_another_feed_has_for_the_account(yard):
    """Of one account at two feeds' prices the program may be the same, at another nonce."""
    await yard.load(1)
    first = yard.shot(1, FIRST)
    again = replace(yard.shots[0].plan, id="the same, elsewhere")
    signed = yard.desk.sign_ahead(again, nonce=FIRST + 1, target_block=102, lane="mempool")
    other = replace(yard.shots[0], plan=again, submission=signed)
    salvos = [salvo(*yard.shots), salvo(first, other, feed="btc")]
    await yard.prearm.load(DEPLOYMENT, salvos, SPENT)
    yard.desk.nonces.used(FIRST)
    assert yard.fire() == 1
    assert yard.wire.posted == [signed.raw]
    await yard.settle()
    (intent,) = await yard.journal.open_intents()
    assert [(one.tx_hash, one.nonce) for one in intent.attempts] == [(signed.tx_hash, FIRST + 1)]
    assert intent.ref == again.ref
    assert yard.journal.noted() == []
    await yard.prearm.disarm(DEPLOYMENT)
    assert await yard.journal.armed() == []
