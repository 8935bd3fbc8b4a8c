"""An error in the thread that writes is told, whatever it is, and nothing is written after it."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from keeper.core.errors import InvariantError
from keeper.core.lending import Reason
from keeper.core.values import replace
from keeper.ledger.books import read_books
from keeper.ledger.journal import SqliteJournal
from tests.support.ledger_records import DEPLOYMENT, hash32, opened, plan, rejection, submission

UNWRITABLE = rejection(1, Reason.NO_ROUTE, block=2**63)
"""SQLite's integers end before this, which is no error of SQLite's."""
TOLD = r"expected rejections on disk, found: Python int too large"


async def looked(journal: SqliteJournal) -> None:
    """Return when the thread has dealt with all that waits."""
    await journal.open_intents()


def fill_disk(db: sqlite3.Connection) -> None:
    """Let SQLite take no further page, as on a disk that is full."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")


async def test_an_error_that_is_not_sqlites_in_a_rejection_shows_at_the_next_record(
    tmp_path: Path,
) -> None:
    journal = await opened(tmp_path)
    await journal.reject(DEPLOYMENT, UNWRITABLE)
    with pytest.raises(InvariantError, match=TOLD):
        await looked(journal)
    with pytest.raises(InvariantError, match=TOLD):
        await journal.intend(plan())
    with pytest.raises(InvariantError, match=TOLD):
        await journal.reject(DEPLOYMENT, rejection(2, Reason.NO_ROUTE, block=1))
    await journal.close()
    assert read_books(tmp_path / "keeper.sqlite").open_intents == 0


async def test_an_error_that_nobody_was_told_of_is_told_at_the_end_and_all_is_released(
    tmp_path: Path,
) -> None:
    journal = await opened(tmp_path)
    await journal.reject(DEPLOYMENT, UNWRITABLE)
    with pytest.raises(InvariantError, match=TOLD):
        await journal.close()
    await (await opened(tmp_path)).close()


async def test_a_full_disk_that_only_rejections_met_is_told_at_the_end(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    await journal._run("the disk's end", fill_disk)
    long = replace(rejection(1, Reason.NO_ROUTE, block=1), detail="dry" * 100_000)
    await journal.reject(DEPLOYMENT, long)
    with pytest.raises(InvariantError, match=r"expected rejections on disk, found: .*full"):
        await journal.close()
    await (await opened(tmp_path)).close()


async def test_a_disk_that_fails_with_the_last_rejections_is_told_at_the_end(
    tmp_path: Path,
) -> None:
    journal = await opened(tmp_path)
    journal._writer._rejections.append((DEPLOYMENT, UNWRITABLE, 1))
    with pytest.raises(InvariantError, match=TOLD):
        await journal.close()
    await (await opened(tmp_path)).close()


async def test_a_rejection_that_came_with_a_step_that_was_refused_is_kept(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    await journal.intend(plan(1, head=100))
    at_work, go_on = threading.Event(), threading.Event()

    def slow(_: sqlite3.Connection) -> None:
        at_work.set()
        go_on.wait()

    waiting = asyncio.create_task(journal._run("something slow", slow))
    await asyncio.to_thread(at_work.wait)
    refused = asyncio.create_task(journal.intend(plan(1, head=101)))
    await asyncio.sleep(0)
    await journal.reject(DEPLOYMENT, rejection(7, Reason.NO_ROUTE, block=1))
    go_on.set()
    await waiting
    with pytest.raises(InvariantError, match="expected no open intent"):
        await refused
    await journal.close()
    assert [one.reason for one in read_books(tmp_path / "keeper.sqlite").missed] == ["no_route"]


async def test_what_waits_behind_a_write_that_failed_is_not_written(tmp_path: Path) -> None:
    journal = await opened(tmp_path)

    def failing(_: sqlite3.Connection) -> None:
        msg = "disk I/O error"
        raise sqlite3.OperationalError(msg)

    first = asyncio.create_task(journal._run("something", failing))
    second = asyncio.create_task(journal.intend(plan()))
    found = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(one) for one in found] == [InvariantError] * 2
    assert len({str(one) for one in found}) == 1
    await journal.close()
    assert read_books(tmp_path / "keeper.sqlite").open_intents == 0


async def test_what_is_out_is_recorded_even_if_nobody_waits_for_that_any_more(
    tmp_path: Path,
) -> None:
    journal = await opened(tmp_path)
    one = plan()
    await journal.arm([(one, submission(one))])
    at_work, go_on = threading.Event(), threading.Event()

    def slow(_: sqlite3.Connection) -> None:
        at_work.set()
        go_on.wait()

    busy = asyncio.create_task(journal._run("something slow", slow))
    await asyncio.to_thread(at_work.wait)
    booking = asyncio.ensure_future(journal.fired([submission(one)]))
    await asyncio.sleep(0)
    booking.cancel()
    await asyncio.gather(booking, return_exceptions=True)
    go_on.set()
    await busy
    await journal.close()
    again = await opened(tmp_path)
    assert [found.plan_id for found in await again.open_intents()] == [one.id]
    await again.close()


async def test_a_failure_of_what_nobody_waits_for_is_told_at_the_end(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    one = plan()
    await journal.arm([(one, submission(one))])
    await journal._run("the disk's end", fill_disk)
    wide = replace(submission(one), raw=b"\x02" * 100_000, nonce=1, tx_hash=hash32(9))
    booking = asyncio.ensure_future(journal.fired([wide]))
    await asyncio.sleep(0)
    booking.cancel()
    await asyncio.gather(booking, return_exceptions=True)
    with pytest.raises(InvariantError, match="expected fired transactions on disk"):
        await journal.close()
