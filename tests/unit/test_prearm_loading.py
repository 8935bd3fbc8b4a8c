"""What is signed ahead anew takes the place of the old, on disk first."""

import pytest

from keeper.core.tick import Tick
from keeper.core.values import replace
from tests.support.ledger_records import DEPLOYMENT
from tests.support.prearm_yard import BLOCK, FEED, FIRST, PRICE, SPENT, BugError, salvo, yard_in


@pytest.fixture
async def yard(tmp_path):
    async with yard_in(tmp_path) as made:
        yield made


async def test_an_account_that_changed_elsewhere_or_with_another_feed_stays_where_it_is(yard):
    await yard.load(2)
    yard.prearm.touched("another", {one.ref for one in yard.shots}, BLOCK)
    yard.prearm.moved("another", frozenset({"btc"}), BLOCK)
    yard.prearm.moved(DEPLOYMENT, frozenset({FEED, "btc"}), BLOCK)
    assert yard.prearm.holds(DEPLOYMENT) == 2
    both = replace(yard.shots[0], feeds=frozenset({FEED, "btc"}))
    await yard.prearm.load(DEPLOYMENT, [salvo(both, yard.shots[1])], SPENT)
    yard.prearm.moved(DEPLOYMENT, frozenset({"btc"}), BLOCK)
    assert yard.prearm.holds(DEPLOYMENT) == 1
    assert yard.fire(PRICE - 1) == 1
    assert list(yard.flight.airborne) == [yard.shots[1].plan.id]
    await yard.settle()


@pytest.mark.parametrize("what", ["its account changed", "another of its feeds moved"])
@pytest.mark.parametrize(("block", "fired"), [(BLOCK - 1, 1), (BLOCK, 0)])
async def test_what_changes_after_the_head_while_it_is_armed_is_not_fired(yard, what, block, fired):
    """What a block up to that head brought is in its plan."""
    await yard.load(1)
    (one,) = (replace(one, feeds=frozenset({FEED, "btc"})) for one in yard.shots)
    await yard.prearm.disarm(DEPLOYMENT)
    arm = yard.journal.arm

    async def while_written(signed):
        await arm(signed)
        if what == "its account changed":
            yard.prearm.touched(DEPLOYMENT, {one.ref}, block)
        else:
            yard.prearm.moved(DEPLOYMENT, frozenset({"btc"}), block)

    yard.journal.arm = while_written
    yard.prearm.begin(DEPLOYMENT, BLOCK - 2)
    await yard.prearm.load(DEPLOYMENT, [salvo(one)], SPENT)
    assert yard.fire() == fired
    await yard.settle()


@pytest.mark.parametrize("at", ["arm", "disarm"])
async def test_what_became_void_while_it_is_written_is_not_fired_at_any_time(yard, at):
    await yard.load(1)
    write, fired = getattr(yard.journal, at), []

    async def while_written(of):
        if at == "arm":
            await write(of)
        yard.prearm.void(DEPLOYMENT)
        fired.append(yard.fire())
        if at == "disarm":
            await write(of)

    async def disarmed(of):
        fired.append(yard.fire())
        await disarm(of)

    disarm, yard.journal.disarm = yard.journal.disarm, disarmed
    setattr(yard.journal, at, while_written)
    await yard.load(1, first=FIRST + 1)
    fired.append(yard.fire())
    assert not any(fired)
    assert yard.prearm.holds(DEPLOYMENT) == 0
    await yard.prearm.disarm(DEPLOYMENT)
    assert await yard.journal.armed() == []


async def test_what_changed_before_the_next_head_is_armed_for_is_in_its_plans(yard):
    await yard.load(1)
    yard.prearm.touched(DEPLOYMENT, {one.ref for one in yard.shots}, BLOCK)
    yard.prearm.moved(DEPLOYMENT, frozenset({"btc"}), BLOCK)
    yard.prearm.begin(DEPLOYMENT, BLOCK)
    await yard.prearm.load(DEPLOYMENT, [salvo(*yard.shots)], SPENT)
    assert yard.fire() == 1
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


async def test_what_is_void_is_off_the_disk_once_the_next_is_on_it(yard):
    await yard.load(2)
    await yard.load(1, first=FIRST + 3)
    (armed,) = await yard.journal.armed()
    assert armed.submission == yard.shots[0].submission


async def test_what_is_disarmed_is_off_the_disk_but_what_was_fired_before(yard):
    await yard.load(3)
    assert yard.fire() == 1
    await yard.prearm.disarm(DEPLOYMENT)
    assert yard.fire(PRICE - 2) == 0
    await yard.settle()
    assert await yard.journal.armed() == []
    (intent,) = await yard.journal.open_intents()
    assert intent.submission == yard.shots[0].submission
