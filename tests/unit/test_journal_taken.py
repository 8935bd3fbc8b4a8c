"""What others liquidated, on disk, and what we had done about the same account until then."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from keeper.core.chain import Fees
from keeper.core.plan import Plan, Purpose, Status
from keeper.core.taken import Cause, OurPart, Taken
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.executor.verdicts import unsent
from keeper.ledger.journal import SqliteJournal
from keeper.ledger.taken import select_taken
from tests.support.batch_records import merged
from tests.support.ledger_records import (
    DEPLOYMENT,
    FORECAST,
    HandClock,
    ended,
    hash32,
    opened,
    plan,
    submission,
    taken,
)

REF = plan(1).ref


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def journal(tmp_path: Path, clock: HandClock) -> AsyncIterator[SqliteJournal]:
    found = await opened(tmp_path, clock=clock)
    yield found
    await found.close()


async def note(journal: SqliteJournal, *of: Taken, gone_from: int | None = None) -> None:
    await journal.others.take_note(DEPLOYMENT, of, gone_from=gone_from)


def on_disk(folder: Path, *, since: int = 0) -> list[Taken]:
    with closing(sqlite3.connect(folder / "keeper.sqlite")) as db:
        return list(select_taken(db, since))


async def test_what_was_noted_is_read_as_it_was(journal: SqliteJournal, tmp_path: Path) -> None:
    unknown = replace(taken(2), penalty=None, protocol_fee=None, forecast_net=None, place=4)
    nothing = replace(taken(3), penalty=0, protocol_fee=0, forecast_net=0, place=5)
    await note(journal, taken(1), unknown, nothing)
    assert on_disk(tmp_path) == [taken(1), unknown, nothing]


async def test_it_is_told_in_the_order_of_the_chain(journal: SqliteJournal, tmp_path: Path) -> None:
    first, second = replace(taken(1), block=100, place=9), replace(taken(2), place=1, log_index=9)
    third = replace(taken(3, deployment="z"), place=2, log_index=1)
    fourth = replace(taken(4, deployment="a"), place=2, log_index=2)
    await note(journal, fourth, second, third, first)
    assert on_disk(tmp_path) == [first, second, third, fourth]


async def test_what_is_noted_again_is_there_once(journal: SqliteJournal, tmp_path: Path) -> None:
    await note(journal, taken(1))
    again = replace(taken(1), cause=Cause.LATE, detail="told anew")
    await note(journal, again)
    assert on_disk(tmp_path) == [again]


async def test_a_block_that_is_gone_takes_along_its_own_and_later_notes_of_its_deployment(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    kept, elsewhere = taken(1, block=100), taken(4, block=102, deployment="other")
    await note(journal, kept, taken(2, block=101), taken(3, block=102), elsewhere)
    anew = taken(5, block=101)
    await note(journal, anew, gone_from=101)
    assert on_disk(tmp_path) == [kept, anew, elsewhere]


async def test_it_is_told_since_the_second_in_which_it_was_noted(
    journal: SqliteJournal, tmp_path: Path, clock: HandClock
) -> None:
    await note(journal, taken(1))
    seen = int(clock.now())
    assert on_disk(tmp_path, since=seen) == [taken(1)]
    assert on_disk(tmp_path, since=seen + 1) == []


async def test_which_are_noted_is_of_their_deployment(journal: SqliteJournal) -> None:
    one, other = taken(1), taken(2, deployment="other")
    await note(journal, one, other)
    asked = [one.tx_hash, other.tx_hash, hash32(9)]
    assert await journal.others.taken_before(DEPLOYMENT, asked) == {one.tx_hash}
    assert await journal.others.taken_before(DEPLOYMENT, []) == frozenset()


async def test_our_own_are_those_that_we_signed_sent_or_not(journal: SqliteJournal) -> None:
    one, ahead = submission(plan(1)), submission(plan(2), nonce=1)
    await journal.seal([(plan(1), one)])
    await journal.arm([(plan(2), ahead)])
    assert await journal.others.own([one.tx_hash, ahead.tx_hash, hash32(9)]) == {
        one.tx_hash,
        ahead.tx_hash,
    }
    assert await journal.others.own([]) == frozenset()


async def part(journal: SqliteJournal, *, since: int = 0, before: int = 10**6) -> OurPart | None:
    return await journal.others.our_part(DEPLOYMENT, REF, since=since, before=before)


async def reverted(journal: SqliteJournal, one: Plan, nonce: int) -> None:
    sent = submission(one, nonce=nonce)
    await journal.seal([(one, sent)])
    await journal.settle(ended(one, Status.REVERTED, gas=1, tx_hash=sent.tx_hash))


async def test_our_part_is_of_the_heads_from_one_to_just_before_another(
    journal: SqliteJournal,
) -> None:
    await reverted(journal, plan(1, head=100), 1)
    assert await part(journal, since=101) is None
    assert await part(journal, before=100) is None
    assert await part(journal, since=100, before=101) == OurPart(
        status=Status.REVERTED,
        net=FORECAST.net,
        target_block=101,
        priority_fee=10**9,
        attempts=(submission(plan(1, head=100), nonce=1),),
    )


async def test_our_part_is_the_newest_intent_with_its_newest_transaction(
    journal: SqliteJournal,
) -> None:
    await reverted(journal, plan(1, head=100), 1)
    one = replace(
        plan(1, head=102), forecast=replace(FORECAST, gas=0, net=FORECAST.net + WAD // 100)
    )
    await journal.seal([(one, submission(one, nonce=2))])
    dearer = replace(
        submission(one, nonce=2, replacement=1),
        fees=Fees(max_fee=99 * 10**9, priority_fee=3),
        target_block=105,
    )
    await journal.record_signed(dearer)
    assert await part(journal) == OurPart(
        status=Status.SIGNED,
        net=one.forecast.net,
        target_block=105,
        priority_fee=3,
        attempts=(submission(one, nonce=2), dearer),
    )


@pytest.mark.parametrize("purpose", list(Purpose))
async def test_what_took_its_place_after_theirs_was_not_out_against_them(
    journal: SqliteJournal, purpose: Purpose
) -> None:
    """It is signed at the head that theirs is in, before that is noted."""
    await journal.seal([(plan(1), submission(plan(1)))])
    later = replace(
        submission(plan(1), replacement=1),
        fees=Fees(max_fee=99 * 10**9, priority_fee=3),
        target_block=102,
        purpose=purpose,
    )
    await journal.record_signed(later)
    found = await part(journal, before=101)
    assert found is not None
    assert (found.target_block, found.priority_fee) == (101, 10**9)


async def test_what_is_offered_on_for_later_blocks_was_out_all_the_same(
    journal: SqliteJournal,
) -> None:
    sent = submission(plan(1))
    await journal.seal([(plan(1), sent)])
    await journal.retarget(replace(sent, target_block=102))
    found = await part(journal, before=101)
    assert found is not None
    assert (found.target_block, found.priority_fee) == (102, 10**9)


@pytest.mark.parametrize("status", [Status.LANDED, Status.CANCELLED, Status.REVERTED])
async def test_what_had_ended_before_theirs_was_not_out_any_more(
    journal: SqliteJournal, status: Status
) -> None:
    sent = submission(plan(1))
    await journal.seal([(plan(1), sent)])
    outcome = replace(ended(plan(1), status, gas=1, tx_hash=sent.tx_hash), block=104)
    await journal.settle(outcome)
    found = await part(journal, before=105)
    assert found is not None
    assert found == OurPart(status=status, net=FORECAST.net, target_block=None, priority_fee=None)
    found = await part(journal, before=104)
    assert found is not None
    assert found.target_block == 101


async def test_what_was_never_signed_aimed_at_no_block(journal: SqliteJournal) -> None:
    await journal.intend(plan(1))
    await journal.settle(ended(plan(1), Status.SIMULATED))
    assert await part(journal) == OurPart(
        status=Status.SIMULATED, net=FORECAST.net, target_block=None, priority_fee=None
    )


async def test_what_the_lane_refused_was_out_for_no_block(journal: SqliteJournal) -> None:
    batch = merged(plan(2), plan(1))
    sent = submission(batch)
    await journal.seal([(batch, sent)])
    await journal.settle(unsent(batch, Status.DROPPED, "insufficient funds"))
    assert await part(journal) == OurPart(
        status=Status.DROPPED, net=FORECAST.net, target_block=None, priority_fee=None
    )


async def test_what_was_given_up_as_lost_was_out_until_then(journal: SqliteJournal) -> None:
    sent = submission(plan(1))
    await journal.seal([(plan(1), sent)])
    await journal.settle(ended(plan(1), Status.DROPPED, tx_hash=sent.tx_hash))
    found = await part(journal)
    assert found is not None
    assert (found.status, found.target_block) == (Status.DROPPED, 101)


async def test_who_went_with_another_has_that_ones_transaction(journal: SqliteJournal) -> None:
    batch = merged(plan(2), plan(1))
    await journal.seal([(batch, submission(batch))])
    found = await part(journal)
    assert found is not None
    assert (found.status, found.target_block, found.priority_fee) == (Status.SIGNED, 101, 10**9)


@pytest.mark.parametrize("how", ["armed", "elsewhere", "another account", "another pool"])
async def test_what_is_not_out_or_is_of_another_is_no_part_of_it(
    journal: SqliteJournal, how: str
) -> None:
    one = plan(2) if how == "another account" else plan(1)
    if how == "elsewhere":
        one = plan(1, deployment="other")
    if how == "another pool":
        ref = replace(one.ref, market="another")
        one = replace(one, opportunity=replace(one.opportunity, ref=ref))
    if how == "armed":
        await journal.arm([(one, submission(one))])
    else:
        await journal.seal([(one, submission(one))])
    assert await part(journal) is None


async def test_a_database_without_such_notes_knows_of_nothing(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    await note(journal, taken(1))
    with closing(sqlite3.connect(tmp_path / "keeper.sqlite")) as db:
        db.execute("DROP TABLE taken")
        assert select_taken(db, 0) == ()
        db.rollback()


async def test_gas_of_a_transaction_that_takes_of_two_deployments_is_counted_once(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    one = replace(taken(1), gas=101)
    beside = replace(one, log_index=one.log_index + 1, gas=100)
    theirs = replace(one, deployment="other", log_index=one.log_index + 2, gas=201)
    gone = replace(theirs, deployment="third", block_hash=hash32(0xDEAD))
    alone = replace(taken(9), gas=50)
    await journal.others.take_note("third", [gone], gone_from=None)
    await note(journal, one, beside, alone)
    assert {row.gas for row in on_disk(tmp_path)} == {101, 100, 201, 50}
    for _ in range(2):  # as of blocks that are heard of again
        await journal.others.take_note("other", [theirs], gone_from=None)
        found = {(row.deployment, row.log_index): row for row in on_disk(tmp_path)}
        rows = [found[row.deployment, row.log_index] for row in (one, beside, theirs)]
        assert [row.gas for row in rows] == [67, 67, 67]
    assert found[alone.deployment, alone.log_index] == alone
    assert found["third", gone.log_index] == gone
