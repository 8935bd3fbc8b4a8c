"""What has no receipt: its nonce was used, or not, by whom, and when it is given up."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keeper.core.plan import Status
from keeper.core.values import replace
from keeper.executor.endings import dropped
from keeper.executor.nonce import UNEXPLAINED_S
from keeper.executor.settler import GRACE_S
from tests.support.settling_desk import CONFIRMATIONS, GAINED, Desk, desk_in
from tests.support.signed_plans import ONE, TWO, signed


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        yield made


async def test_a_nonce_that_another_transaction_took_ends_the_intent(desk: Desk) -> None:
    sent = await desk.send(ONE, 5)
    desk.wire.used = 6
    assert await desk.settle(101) == []
    assert desk.foreign == []
    desk.clock.seconds += UNEXPLAINED_S
    (outcome,) = await desk.settle(102)
    assert (outcome.status, outcome.realised.net) == (Status.DROPPED, 0)
    assert outcome.detail == "another transaction took nonce 5"
    assert outcome.tx_hash == sent.tx_hash
    assert [one.nonce for one in desk.foreign] == [5]


async def test_a_used_nonce_waits_for_its_receipt_by_our_clock_and_for_another_head(
    desk: Desk,
) -> None:
    await desk.send(ONE, 5)
    desk.wire.used = 6
    for number in range(101, 101 + 4 * UNEXPLAINED_S):  # four blocks a second
        assert await desk.settle(number) == []
        desk.clock.seconds += 0.25
    assert desk.foreign == []
    (outcome,) = await desk.settle(200)
    assert outcome.status is Status.DROPPED
    assert [one.nonce for one in desk.foreign] == [5]


async def test_heads_that_come_all_at_once_after_a_silence_accuse_nobody(desk: Desk) -> None:
    """A keeper that was held up settles at old heads, while the node tells the newest count.

    Minutes of the chain pass in a moment then, in which the node may lack the receipt.
    """
    sent = await desk.send(ONE, 5)
    desk.wire.used = 6
    for number in (101, 105, 109):
        assert await desk.settle(number) == []
    assert desk.foreign == []
    desk.wire.include(sent.tx_hash, 109, logs=[GAINED])
    (outcome,) = await desk.settle(109 + CONFIRMATIONS)
    assert outcome.status is Status.LANDED


async def test_a_reorg_between_the_count_and_the_receipts_accuses_nobody(desk: Desk) -> None:
    """A node had the count before the receipt at first; then a reorg takes back what used it."""
    sent = await desk.send(ONE, 5)
    desk.wire.used = 6
    assert await desk.settle(101) == []
    desk.clock.seconds += UNEXPLAINED_S
    desk.wire.freed = 5
    assert await desk.settle(102) == []
    assert desk.foreign == []
    desk.wire.used = 6
    desk.wire.include(sent.tx_hash, 103, logs=[GAINED])
    (outcome,) = await desk.settle(103 + CONFIRMATIONS)
    assert outcome.status is Status.LANDED


async def test_a_nonce_that_one_of_ours_took_which_was_given_up_is_nobody_else_s(
    desk: Desk,
) -> None:
    given_up = await desk.send(TWO, 5)
    intent = desk.flight.airborne[TWO.id].intent
    desk.flight.landed(TWO.id)
    await desk.journal.settle(dropped(intent, "lost"))
    await desk.send(ONE, 5)
    desk.wire.used = 6
    desk.wire.include(given_up.tx_hash, 101)
    assert await desk.settle(101) == []
    desk.clock.seconds += UNEXPLAINED_S
    (outcome,) = await desk.settle(102)
    assert outcome.status is Status.DROPPED
    assert desk.foreign == []


async def test_a_receipt_that_comes_late_is_not_taken_for_another_s(desk: Desk) -> None:
    sent = await desk.send(ONE, 5)
    # The node counts the nonce as used before it hands out the receipt.
    desk.wire.used = 6
    desk.wire.include(sent.tx_hash, 101, logs=[GAINED])
    desk.wire.late.add(sent.tx_hash)
    assert await desk.settle(103) == []
    assert desk.foreign == []
    (outcome,) = await desk.settle(103)
    assert outcome.status is Status.LANDED


async def test_a_receipt_that_comes_between_the_looks_is_not_taken_for_another_s(
    desk: Desk,
) -> None:
    sent = await desk.send(ONE, 5)
    desk.wire.used = 6
    assert await desk.settle(102) == []
    desk.wire.include(sent.tx_hash, 101, logs=[GAINED])
    desk.wire.late.add(sent.tx_hash)
    assert await desk.settle(103) == []
    assert desk.foreign == []
    (outcome,) = await desk.settle(104)
    assert outcome.status is Status.LANDED


async def test_nobody_is_accused_at_first_sight_of_what_a_reorg_took_back(desk: Desk) -> None:
    sent = await desk.send(ONE, 5)
    desk.wire.used = 6
    assert await desk.settle(101) == []
    desk.wire.include(sent.tx_hash, 101)
    await desk.settle(103)
    await desk.journal.reopen(ONE.id)
    (intent,) = await desk.journal.open_intents()
    desk.flight.reopened(intent)
    del desk.wire.receipts[sent.tx_hash]
    assert await desk.settle(104) == []
    assert desk.foreign == []


async def test_what_is_pending_behind_its_nonce_is_no_other_transaction(desk: Desk) -> None:
    await desk.send(ONE, 5)
    desk.wire.queued = 3
    assert [await desk.settle(number) for number in (101, 102, 103)] == [[], [], []]
    assert desk.foreign == []


async def test_a_lost_transaction_is_given_up_after_its_deadline_and_not_before(desk: Desk) -> None:
    await desk.send(ONE, 5)
    desk.wire.pending.clear()
    last = ONE.deadline + GRACE_S
    assert await desk.settle(120, timestamp=last) == []
    (outcome,) = await desk.settle(120, timestamp=last + 1)
    assert outcome.status is Status.DROPPED
    assert outcome.detail == "the node lost it and its deadline has passed"


async def test_what_is_lost_below_one_that_is_open_is_tended_on_to_use_its_nonce(
    desk: Desk,
) -> None:
    desk.wire.used = 5
    first, second = await desk.send(ONE, 5), await desk.send(TWO, 6)
    desk.wire.pending = {second.tx_hash}
    late = ONE.deadline + GRACE_S + 1
    assert await desk.settle(120, timestamp=late) == []
    desk.wire.pending.clear()
    # From the last, so that no gap is left below one that may land yet.
    (outcome,) = await desk.settle(121, timestamp=late)
    assert (outcome.plan_id, outcome.status) == (TWO.id, Status.DROPPED)
    (outcome,) = await desk.settle(122, timestamp=late)
    assert (outcome.plan_id, outcome.status) == (ONE.id, Status.DROPPED)
    assert first.nonce not in desk.flight.held(first.sender)


async def test_what_another_lane_lost_below_one_that_is_open_is_tended_on_as_well(
    desk: Desk,
) -> None:
    desk.wire.used = 5
    private = replace(signed(ONE, 5), lane="protect")
    await desk.journal.seal([(ONE, private)])
    desk.flight.took_off(ONE, private)
    await desk.send(TWO, 6)
    assert await desk.settle(120, timestamp=ONE.deadline + GRACE_S + 1) == []


async def test_a_transaction_that_the_node_still_has_is_not_given_up_while_it_is_next(
    desk: Desk,
) -> None:
    desk.wire.used = 5
    await desk.send(ONE, 5)
    await desk.send(TWO, 6)
    assert await desk.settle(10_000, timestamp=ONE.deadline + 10**6) == []


async def test_what_the_node_has_above_a_nonce_that_nobody_uses_is_given_up_after_its_deadline(
    desk: Desk,
) -> None:
    desk.wire.used = 4
    await desk.send(ONE, 5)
    await desk.send(TWO, 6)
    last = ONE.deadline + GRACE_S
    assert await desk.settle(120, timestamp=last) == []
    (outcome,) = await desk.settle(121, timestamp=last + 1)  # the highest first
    assert (outcome.plan_id, outcome.status) == (TWO.id, Status.DROPPED)
    (outcome,) = await desk.settle(122, timestamp=last + 1)
    assert (outcome.plan_id, outcome.status) == (ONE.id, Status.DROPPED)
    assert outcome.detail == "nobody uses nonce 4 below it; its deadline has passed"


async def test_above_what_somebody_else_has_pending_it_may_land_yet(desk: Desk) -> None:
    desk.wire.used, desk.wire.queued = 4, 2
    await desk.send(ONE, 5)
    assert await desk.settle(120, timestamp=ONE.deadline + GRACE_S + 1) == []


@pytest.mark.parametrize("receipt_came", [True, False])
async def test_after_a_reorg_a_receipt_may_come_as_late_as_before(
    desk: Desk, *, receipt_came: bool
) -> None:
    sent = await desk.send(ONE, 5)
    for number in (101, 105):  # it is in both blocks; the node counts it before it has the receipt
        desk.wire.used = 6
        assert await desk.settle(number) == []
        if receipt_came:
            desk.wire.include(sent.tx_hash, number)
            assert await desk.settle(number + 1) == []
            del desk.wire.receipts[sent.tx_hash]
        else:
            desk.wire.used = 5
            assert await desk.settle(number + 1) == []
    assert desk.foreign == []
