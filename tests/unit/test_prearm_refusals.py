"""What was signed ahead and may not be sent: a halt, policy, what was spent, or an old block."""

import pytest

from keeper.core.chain import Fees
from keeper.core.tick import Tick
from keeper.core.values import replace
from keeper.executor.door import Door, Grounds
from keeper.executor.totals import TotalLimits, Totals
from tests.support.ledger_records import DEPLOYMENT, plan, submission
from tests.support.prearm_yard import BLOCK, FEED, FIRST, LIMITS, PRICE, SPENT, salvo, yard_in


@pytest.fixture
async def yard(tmp_path):
    async with yard_in(tmp_path) as made:
        yield made


async def test_what_is_not_written_yet_when_a_halt_comes_is_not_sent(yard):
    yard.wire.is_open = False
    await yard.load(1)
    yard.wire.post_raw = lambda _: None
    assert yard.fire() == 1
    yard.halted = "by hand"
    await yard.settle()
    assert yard.wire.sent == []
    assert [delivery.why for _, _, delivery in yard.booked] == ["nothing is sent: by hand"]


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


@pytest.mark.parametrize(("late_ns", "fired"), [(0, 1), (1, 0)])
async def test_what_its_deadline_would_refuse_by_now_is_not_sent(yard, late_ns, fired):
    await yard.load(1)
    until = replace(salvo(*yard.shots), until_ns=10**9)
    await yard.prearm.load(DEPLOYMENT, [until], SPENT)
    tick = Tick(until.until_ns + late_ns)
    assert yard.prearm.fire(DEPLOYMENT, FEED, PRICE, BLOCK, tick) == fired
    assert len(yard.wire.posted) == fired
    await yard.settle()


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
        yard.prearm.touched(DEPLOYMENT, {yard.shots[0].ref}, BLOCK)
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
    yard.prearm.touched(DEPLOYMENT, {yard.shots[0].ref}, BLOCK)
    assert yard.fire(PRICE - 1) == 1
    assert yard.wire.posted != [yard.shots[1].submission.raw], "its nonce is the next one"
    assert yard.nonces() == [FIRST]
    await yard.settle()


async def test_before_anything_was_spent_is_known_nothing_passes(yard):
    await yard.load(1)
    yard.prearm._exposure = yard.prearm._now = None
    yard.flight.took_off(plan(9), submission(plan(9), nonce=1))
    assert yard.fire() == 0
    assert yard.prearm.aftermath._mail.empty(), "and nothing is broken"


async def test_what_was_spent_meanwhile_counts_from_the_next_load_on(yard):
    await yard.load(1)
    yard.flight.took_off(plan(9), submission(plan(9), nonce=1))
    spent = replace(SPENT, spent_hour=LIMITS.max_gas_per_hour)
    await yard.prearm.load(DEPLOYMENT, [salvo(*yard.shots)], spent)
    assert yard.fire() == 0
