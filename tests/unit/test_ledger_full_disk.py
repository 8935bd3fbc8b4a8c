"""A disk that is full stops the journal before anything is sent."""

import asyncio

import pytest

from keeper.core.errors import InvariantError
from keeper.core.lending import Reason
from tests.support.ledger_records import DEPLOYMENT, opened, plan, rejection, submission


async def test_a_full_disk_stops_the_journal_before_anything_is_sent(tmp_path):
    journal = await opened(tmp_path)
    await journal.intend(plan(1))
    await journal._run("the disk's end", _fill_disk)
    with pytest.raises(InvariantError, match=r"expected intent .* on disk, found: .*full"):
        await _intend_for(journal, range(2, 200))
    with pytest.raises(InvariantError, match="full"):
        await journal.record_signed(submission(plan(1)))
    with pytest.raises(InvariantError, match="full"):
        await journal.open_intents()
    await journal.close()

    again = await opened(tmp_path)
    kept = [one.plan_id for one in await again.open_intents()]
    await again.close()
    assert kept[0] == plan(1).id
    assert len(kept) < 199


async def test_all_who_write_when_the_disk_is_full_are_told_the_same(tmp_path):
    journal = await opened(tmp_path)
    await journal.intend(plan(1))
    await journal._run("the disk's end", _fill_disk)
    writes = [journal.intend(plan(borrower)) for borrower in range(2, 200)]
    writes += [journal.arm([(one, submission(one))]) for one in map(plan, range(200, 300))]
    found = await asyncio.gather(*writes, return_exceptions=True)
    assert len({str(one) for one in found if isinstance(one, InvariantError)}) == 1
    await journal.close()


async def _intend_for(journal, borrowers):
    for borrower in borrowers:
        await journal.intend(plan(borrower))


async def _reject_and_look(journal, borrowers):
    for borrower in borrowers:
        await journal.reject(DEPLOYMENT, rejection(borrower, Reason.NO_ROUTE, block=1))
    await journal.open_intents()


def _fill_disk(db):
    """Let SQLite take no further page, as on a disk that is full."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")


async def test_a_failure_to_write_rejections_shows_at_the_next_record(tmp_path):
    journal = await opened(tmp_path)
    await journal._run("the disk's end", _fill_disk)
    with pytest.raises(InvariantError, match="full"):
        await _reject_and_look(journal, range(5_000))
    await journal.close()
