"""An outcome that a reorg moved to another block is the same outcome, at the time that it had."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keeper.core.plan import Outcome, Status
from keeper.core.values import replace
from keeper.ledger.books import read_books
from keeper.ledger.journal import SqliteJournal
from keeper.ledger.standing import rearm
from tests.support.ledger_records import HandClock, ended, hash32, landed, opened, plan, submission

DAY_S = 86_400
LATER_S = 600


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def journal(tmp_path: Path, clock: HandClock) -> AsyncIterator[SqliteJournal]:
    found = await opened(tmp_path, clock=clock)
    yield found
    await found.close()


async def settled(journal: SqliteJournal, borrower: int, status: Status) -> Outcome:
    one = plan(borrower)
    sent = submission(one, nonce=borrower)
    await journal.seal([(one, sent)])
    outcome = landed(one, sent)
    if status is Status.REVERTED:
        outcome = replace(ended(one, status, gas=7, tx_hash=sent.tx_hash), block=101)
    await journal.settle(outcome)
    return outcome


def moved(outcome: Outcome) -> Outcome:
    """Return it in the next block, at another price of gas."""
    costs = replace(outcome.realised, gas=outcome.realised.gas + 1, net=outcome.realised.net - 1)
    return replace(outcome, block=102, block_hash=hash32(0xB), realised=costs)


async def test_what_a_person_has_seen_and_rearmed_after_halts_no_second_time(
    journal: SqliteJournal, clock: HandClock, tmp_path: Path
) -> None:
    lost = [await settled(journal, borrower, Status.REVERTED) for borrower in (1, 2, 3)]
    assert (await journal.tally(day=0, hour=0)).reverts_in_row == 3
    rearm(tmp_path / "keeper.sqlite", now=int(clock.now()))
    await clock.sleep(LATER_S)
    for one in lost:
        await journal.revise(moved(one))
    tally = await journal.tally(day=0, hour=0)
    assert (tally.reverts_in_row, tally.loss, tally.wasted) == (0, 0, 0)


async def test_what_landed_before_reverts_does_not_come_after_them_by_a_correction(
    journal: SqliteJournal,
) -> None:
    """As where its correction waits for a node, and theirs does not."""
    first = await settled(journal, 1, Status.LANDED)
    await settled(journal, 2, Status.REVERTED)
    await settled(journal, 3, Status.REVERTED)
    await journal.revise(moved(first))
    assert (await journal.tally(day=0, hour=0)).reverts_in_row == 2


async def test_the_books_of_a_day_keep_what_was_moved_on_the_next(
    journal: SqliteJournal, clock: HandClock, tmp_path: Path
) -> None:
    outcome = await settled(journal, 1, Status.LANDED)
    (before,) = read_books(tmp_path / "keeper.sqlite").per_day()
    await clock.sleep(DAY_S)
    await journal.revise(moved(outcome))
    books = read_books(tmp_path / "keeper.sqlite")
    (after,) = books.per_day()
    assert after.name == before.name
    assert after.realised == moved(outcome).realised
    assert [one.block for one in books.entries] == [102]
    assert [one.block_hash for one in await journal.unfinal()] == [hash32(0xB)]


async def test_what_ended_otherwise_by_a_reorg_counts_from_then_on(
    journal: SqliteJournal, clock: HandClock, tmp_path: Path
) -> None:
    outcome = await settled(journal, 1, Status.LANDED)
    rearm(tmp_path / "keeper.sqlite", now=int(clock.now()))
    await clock.sleep(LATER_S)
    await journal.revise(ended(plan(1), Status.REVERTED, gas=9, tx_hash=outcome.tx_hash))
    tally = await journal.tally(day=0, hour=0)
    assert (tally.reverts_in_row, tally.loss) == (1, 9)
