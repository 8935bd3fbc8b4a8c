"""What missed its block and is another lane's, or was offered for that block alone."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from keeper.core.plan import Purpose, Status
from keeper.core.values import replace
from keeper.executor.flight import Flight
from keeper.executor.settler import GRACE_S
from keeper.executor.taking_back import GIVEN_UP
from keeper.executor.tending import NOT_REPLACED
from keeper.ledger.books import read_books
from tests.support.ledger_records import opened
from tests.support.signed_plans import ONE, TWO, signed
from tests.support.tending_yard import HEAD, Yard, yard_in


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    async with yard_in(tmp_path) as made:
        yield made


async def test_a_transaction_of_another_lane_goes_out_by_none(yard: Yard) -> None:
    await yard.send(ONE, 5, lane="a relay")
    await yard.send(TWO, 6)
    with capture_logs() as lines:
        assert [one.nonce for one in await yard.tend()] == [6]
    assert [(one["plan"], one["why"]) for one in lines if one["event"] == NOT_REPLACED] == [
        (ONE.id, "it belongs to lane a relay, this is mempool")
    ]


@pytest.mark.parametrize("expires", [False, True])
async def test_what_another_lane_left_is_cancelled_by_this_one_after_its_deadline(
    yard: Yard, *, expires: bool
) -> None:
    yard.lane.expires = expires
    await yard.send(ONE, 5, lane="a relay")
    await yard.send(TWO, 6)
    yard.fails(ONE)
    late = ONE.deadline + GRACE_S
    assert [one.nonce for one in await yard.tend(timestamp=late)] == [6]
    (cancelled,) = [one for one in await yard.tend(timestamp=late + 1) if one.nonce == 5]
    assert (cancelled.purpose, cancelled.lane) == (Purpose.CANCEL, "mempool")


async def test_what_another_lane_left_never_goes_out_by_this_one_as_it_is(yard: Yard) -> None:
    await yard.send(ONE, 5, lane="a relay")
    assert await yard.tend(timestamp=ONE.deadline + GRACE_S + 1) == []


@pytest.fixture
def bundling(yard: Yard) -> Yard:
    """What goes out is for one block only, and is gone with it."""
    yard.lane.public, yard.lane.expires, yard.lane.name = False, True, "relay"
    return yard


async def test_what_still_pays_is_offered_again_for_the_next_block(bundling: Yard) -> None:
    first = await bundling.send(ONE, 5, lane="relay")
    (again,) = await bundling.tend()
    assert (again.raw, again.target_block) == (first.raw, HEAD.number + 1)
    assert bundling.lane.withdrawn == []


async def test_a_restart_does_not_give_up_a_bundle_whose_newest_block_is_still_to_come(
    bundling: Yard, tmp_path: Path
) -> None:
    await bundling.send(ONE, 5, lane="relay")
    await bundling.tend(101)
    await bundling.journal.close()
    bundling.lane.journal = bundling.journal = await opened(tmp_path)
    bundling.flight = Flight(await bundling.journal.open_intents())
    bundling.fails(ONE)
    await bundling.tend(101)
    assert list(bundling.flight.airborne) == [ONE.id], "it may land in block 102"
    await bundling.tend(102)
    assert bundling.flight.airborne == {}


async def test_what_would_revert_is_taken_back_and_over_with_its_block(
    bundling: Yard, tmp_path: Path
) -> None:
    first = await bundling.send(ONE, 5, lane="relay")
    bundling.fails(ONE)
    with capture_logs() as lines:
        assert await bundling.tend() == []
    assert [one["why"] for one in lines if one["event"] == GIVEN_UP] == ["it would revert: healthy"]
    assert bundling.lane.withdrawn == [first]
    assert bundling.flight.airborne == {}
    ((intent, outcome),) = bundling.settled
    assert (intent.plan_id, outcome.status) == (ONE.id, Status.DROPPED)
    assert outcome.detail == "not included; it would revert: healthy"
    assert await bundling.journal.open_intents() == []
    (entry,) = read_books(tmp_path / "keeper.sqlite").entries
    assert (entry.status, entry.realised.net) == (Status.DROPPED, 0)
    assert await bundling.desk.nonces.take(1, ()) == [5], "its nonce is free again"


@pytest.mark.parametrize("halted", [False, True])
async def test_what_a_reorg_took_out_of_its_block_is_cancelled_and_not_given_up_for_free(
    bundling: Yard, *, halted: bool
) -> None:
    """Everybody has seen its bytes: nodes have them pending again, and it may land from there."""
    first = await bundling.send(ONE, 5, lane="relay")
    bundling.wire.pending.add(first.tx_hash)
    bundling.fails(ONE)
    if halted:
        bundling.halt_file.touch()
    (cancel,) = await bundling.tend()
    assert (cancel.nonce, cancel.purpose, cancel.lane) == (5, Purpose.CANCEL, "relay")
    assert list(bundling.flight.airborne) == [ONE.id]
    assert (bundling.settled, bundling.lane.withdrawn) == ([], [])
    (again,) = await bundling.tend(HEAD.number + 1)
    assert (again.raw, again.target_block) == (cancel.raw, HEAD.number + 2)
    bundling.wire.pending.clear()
    await bundling.tend(HEAD.number + 2)
    assert bundling.flight.airborne == {}, "once no node has it, it is over with its block"


async def test_while_its_block_may_come_it_is_no_more_than_taken_back(bundling: Yard) -> None:
    first = await bundling.send(ONE, 5, lane="relay")
    bundling.halt_file.touch()
    assert await bundling.tend(100) == []
    assert bundling.lane.withdrawn == [first]
    assert list(bundling.flight.airborne) == [ONE.id]
    assert bundling.settled == []


async def test_below_one_whose_block_may_come_it_is_not_over_either(bundling: Yard) -> None:
    await bundling.send(ONE, 5, lane="relay")
    later = replace(signed(TWO, 6), lane="relay", target_block=102)
    await bundling.journal.seal([(TWO, later)])
    bundling.flight.took_off(TWO, later)
    bundling.halt_file.touch()
    assert await bundling.tend(101) == []
    assert [one.nonce for one in bundling.lane.withdrawn] == [6, 5]
    assert set(bundling.flight.airborne) == {ONE.id, TWO.id}, "no nonce is free below another"
    assert await bundling.tend(102) == []
    assert bundling.flight.airborne == {}


async def test_below_one_that_stays_a_nonce_is_filled_and_not_given_up(bundling: Yard) -> None:
    await bundling.send(ONE, 5, lane="relay")
    await bundling.send(TWO, 6, lane="relay")
    bundling.fails(ONE)
    out = await bundling.tend()
    assert [(one.nonce, one.purpose) for one in out] == [
        (5, Purpose.CANCEL),
        (6, Purpose.LIQUIDATE),
    ]
    assert set(bundling.flight.airborne) == {ONE.id, TWO.id}
    assert bundling.lane.withdrawn == [], "what cancels it goes under the same UUID"


async def test_above_one_that_stays_it_is_given_up_alone(bundling: Yard) -> None:
    await bundling.send(ONE, 5, lane="relay")
    await bundling.send(TWO, 6, lane="relay")
    bundling.fails(TWO)
    out = await bundling.tend()
    assert [(one.nonce, one.purpose) for one in out] == [(5, Purpose.LIQUIDATE)]
    assert set(bundling.flight.airborne) == {ONE.id}


async def test_below_one_that_is_not_overdue_yet_a_nonce_is_filled(bundling: Yard) -> None:
    await bundling.send(ONE, 5, lane="relay")
    later = replace(signed(TWO, 6), lane="relay", target_block=102)
    await bundling.journal.seal([(TWO, later)])
    bundling.flight.took_off(TWO, later)
    bundling.fails(ONE)
    assert [(one.nonce, one.purpose) for one in await bundling.tend()] == [(5, Purpose.CANCEL)]


async def test_what_another_lane_left_is_not_over_with_the_block_of_what_cancels_it(
    bundling: Yard,
) -> None:
    """The bundle is gone with its block, the transaction that everybody has seen is not."""
    await bundling.send(ONE, 5)
    bundling.fails(ONE)
    late = ONE.deadline + GRACE_S + 1
    (cancel,) = await bundling.tend(timestamp=late)
    assert (cancel.purpose, cancel.lane) == (Purpose.CANCEL, "relay")
    (again,) = await bundling.tend(HEAD.number + 1, timestamp=late + 12)
    assert (again.raw, again.target_block) == (cancel.raw, HEAD.number + 2)
    assert list(bundling.flight.airborne) == [ONE.id], "it may land yet, and cost its gas"
    assert bundling.settled == []
