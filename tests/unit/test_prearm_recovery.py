"""What was sent of what was signed ahead is in the books, after a fault or a kill as well."""

import pytest

from keeper.core.plan import Status
from keeper.core.values import replace
from keeper.executor.recovery import recover_armed
from keeper.ledger.spool import Spool
from tests.support.ledger_records import DEPLOYMENT
from tests.support.prearm_yard import FEED, FIRST, PRICE, BugError, salvo, statuses, yard_in


@pytest.fixture
async def yard(tmp_path):
    async with yard_in(tmp_path) as made:
        yield made


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
        await yard.prearm.aftermath.run()
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
