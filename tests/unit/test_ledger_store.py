"""Opening a database: whose it is, whether it is sound, whether it can be written."""

import asyncio
import os
import sqlite3
import stat
import tempfile
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from keeper.core.errors import ConfigError, InvariantError
from keeper.core.lending import Reason
from keeper.core.values import replace
from keeper.ledger.books import read_books
from keeper.ledger.schema import SCHEMA_VERSION
from keeper.ledger.spending import read_spending
from keeper.ledger.standing import read_halt
from keeper.ledger.store import reading, require_of_chain
from keeper.ledger.totals import read_sums
from tests.support.backups import back_up
from tests.support.ledger_records import (
    CHAIN,
    DEPLOYMENT,
    hash32,
    opened,
    plan,
    rejection,
    submission,
)

NOBODY = 65534


@pytest.fixture
async def database(tmp_path):
    """A database that was used and closed."""
    journal = await opened(tmp_path)
    await journal.intend(plan())
    await journal.close()
    return tmp_path / "keeper.sqlite"


@pytest.fixture
def any_mode():
    """A process that takes no permission away from what it makes."""
    before = os.umask(0)
    yield
    os.umask(before)


def files_of(folder):
    return list(folder.iterdir())


def sql(path, statement):
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        return db.execute(statement).fetchall()


async def refused(folder, **changes):
    with pytest.raises(ConfigError) as caught:
        await opened(folder, identity=replace(CHAIN, **changes))
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_every_commit_is_on_disk_and_readers_are_not_blocked(database, tmp_path):
    journal = await opened(tmp_path)
    found = await journal._run(
        "settings",
        lambda db: [db.execute(f"PRAGMA {name}").fetchone()[0] for name in
                    ("journal_mode", "synchronous", "foreign_keys")],
    )  # fmt: skip
    assert found == ["wal", 2, 1]
    assert read_books(database).open_intents == 1
    await journal.close()


async def test_the_backup_that_is_documented_holds_what_a_running_keeper_wrote(tmp_path):
    copy = tmp_path / "copy" / "keeper.sqlite"
    copy.parent.mkdir()
    journal = await opened(tmp_path)
    await journal.intend(plan())
    await asyncio.to_thread(back_up, tmp_path / "keeper.sqlite", copy)
    await journal.intend(plan(2))
    await journal.close()
    assert read_books(copy).open_intents == 1
    restored = await opened(copy.parent)
    assert [one.plan_id for one in await restored.open_intents()] == [plan().id]
    await restored.close()


async def test_a_database_of_another_chain_is_refused(database):
    assert await refused(database.parent, chain_id=1) == (
        f"{database}: expected a database of chain id 1, found 31337"
    )


async def test_a_database_of_another_genesis_is_refused(database):
    assert await refused(database.parent, genesis_hash=hash32(5)) == (
        f"{database}: expected genesis block {hash32(5)}, found {CHAIN.genesis_hash}"
    )


async def test_a_database_of_another_schema_is_refused(database):
    sql(database, "UPDATE meta SET schema_version = 99")
    assert await refused(database.parent) == (
        f"{database}: expected schema version {SCHEMA_VERSION}, found 99"
    )


async def test_a_refused_database_is_left_as_it_was(database):
    before = database.read_bytes()
    await refused(database.parent, chain_id=1)
    assert database.read_bytes() == before


async def test_another_programs_database_is_refused_and_left_as_it_was(tmp_path):
    path = tmp_path / "keeper.sqlite"
    sql(path, "CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()
    assert await refused(tmp_path) == (
        f"{path}: expected a Keeper database, found one of another program"
    )
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "keeper.sqlite"
    path.write_text("not a database " * 100)
    assert await refused(tmp_path) == (
        f"{path}: expected a Keeper database that can be written, found: file is not a database"
    )


async def test_a_corrupt_database_is_refused(database):
    content = bytearray(database.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    database.write_bytes(content)
    said = await refused(database.parent)
    assert said.startswith(f"{database}: expected a ")
    assert "malformed" in said or "Tree" in said or "btree" in said


async def test_a_second_keeper_on_one_database_is_refused(tmp_path):
    journal = await opened(tmp_path)
    assert await refused(tmp_path) == (
        f"{tmp_path}/keeper.sqlite: expected a database of our own, "
        "found it in use by another keeper"
    )
    await journal.close()
    await (await opened(tmp_path)).close()


async def test_a_second_keeper_by_a_link_to_the_database_is_refused(tmp_path):
    (tmp_path / "keeper.sqlite").symlink_to(tmp_path / "there" / "books.sqlite")
    journal = await opened(tmp_path)
    (tmp_path / "there" / "keeper.sqlite").symlink_to("books.sqlite")
    assert "found it in use by another keeper" in await refused(tmp_path / "there")
    journal.note(submission(plan()))
    await journal.close()
    again = await opened(tmp_path / "there")
    assert again.noted() == [submission(plan())]
    await again.close()


async def test_a_second_keeper_is_refused_although_somebody_deleted_the_lock_file(tmp_path):
    journal = await opened(tmp_path)
    (tmp_path / "keeper.sqlite.lock").unlink()
    assert "found it in use by another keeper" in await refused(tmp_path)
    await journal.close()
    await (await opened(tmp_path)).close()


async def test_nobody_else_on_the_machine_reads_what_a_keeper_writes(tmp_path, any_mode):
    journal = await opened(tmp_path)
    await journal.intend(plan())
    journal.note(submission(plan()))
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in files_of(tmp_path)}
    assert set(modes) == {
        f"keeper.sqlite{suffix}" for suffix in ("", "-wal", "-shm", ".lock", ".spool")
    }
    assert set(modes.values()) == {0o600}
    await journal.close()


async def test_what_the_operator_lets_others_read_stays_so(database):
    database.chmod(0o640)
    await (await opened(database.parent)).close()
    assert stat.S_IMODE(database.stat().st_mode) == 0o640


async def test_a_keeper_that_died_as_it_made_its_database_is_no_obstacle(tmp_path):
    (tmp_path / "keeper.sqlite").touch()
    assert read_spending(tmp_path / "keeper.sqlite", since=0) is None
    require_of_chain(tmp_path / "keeper.sqlite", 1)
    await (await opened(tmp_path)).close()


async def test_a_database_that_lost_its_first_row_is_refused(database):
    sql(database, "DELETE FROM meta")
    assert await refused(database.parent) == (
        f"{database}: expected schema version {SCHEMA_VERSION}, found none"
    )


async def test_a_disk_without_a_write_ahead_log_is_refused(tmp_path, monkeypatch):
    # SQLite itself without shared memory, as on a disk that cannot map files.
    whole = sqlite3.connect

    def connect(path, **options):
        return whole(f"{path.as_uri()}?vfs=unix-none", uri=True, **options)

    monkeypatch.setattr(sqlite3, "connect", connect)
    assert await refused(tmp_path) == (
        f"{tmp_path}/keeper.sqlite: expected a disk that takes a write-ahead log, "
        "found journal mode delete"
    )


async def test_a_folder_in_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    assert await refused(tmp_path / "file") == (
        f"{tmp_path}/file/keeper.sqlite: expected a database that can be written, "
        "found: File exists"
    )


async def test_a_missing_folder_is_made(tmp_path):
    await (await opened(tmp_path / "a" / "b")).close()
    assert (tmp_path / "a" / "b" / "keeper.sqlite").is_file()


@contextmanager
def as_nobody():
    """Drop the superuser's right to write anywhere, where the tests have it."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder(tmp_path):
    """A folder that anybody may go through to."""
    ours = len(tmp_path.parents) - len(Path(tempfile.gettempdir()).parents) - 1
    for folder in (tmp_path, *list(tmp_path.parents)[:ours]):
        folder.chmod(folder.stat().st_mode | 0o055)
    return tmp_path


async def test_a_read_only_file_is_refused(open_folder, database):
    for path in open_folder.iterdir():
        path.chmod(0o444)
    open_folder.chmod(0o777)
    (open_folder / "keeper.sqlite.lock").chmod(0o666)
    with as_nobody():
        said = await refused(open_folder)
    assert said == (
        f"{database}: expected a Keeper database that can be written, "
        "found: attempt to write a readonly database"
    )


async def test_a_read_only_folder_is_refused(open_folder):
    folder = open_folder / "read_only"
    folder.mkdir()
    folder.chmod(0o555)
    with as_nobody():
        said = await refused(folder)
    assert said == (
        f"{folder}/keeper.sqlite: expected a database that can be written, found: Permission denied"
    )


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


def test_books_of_a_missing_database_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected a Keeper database, found none"):
        read_books(tmp_path / "none.sqlite")


def test_books_of_another_programs_database_are_refused(tmp_path):
    sql(tmp_path / "other.sqlite", "CREATE TABLE recipes (name TEXT)")
    with pytest.raises(ConfigError, match="found one of another program"):
        read_books(tmp_path / "other.sqlite")


async def test_books_of_a_damaged_database_are_refused_in_one_line(database):
    content = bytearray(database.read_bytes())
    for (page,) in sql(database, "SELECT rootpage FROM sqlite_master WHERE name LIKE 'outcomes%'"):
        content[(page - 1) * 4096 : page * 4096] = b"\xa5" * 4096
    database.write_bytes(content)
    for read in (read_books, partial(read_spending, since=0), partial(read_sums, since=0)):
        with pytest.raises(ConfigError, match="malformed") as said:
            read(database)
        assert str(said.value).startswith(
            f"{database}: expected a Keeper database that can be read, found: "
        )


async def test_what_is_read_is_of_one_moment(tmp_path):
    journal = await opened(tmp_path)
    await journal.intend(plan(1))
    with reading(tmp_path / "keeper.sqlite") as db:
        before = db.execute("SELECT plan_id FROM intents").fetchall()
        await journal.intend(plan(2))
        assert db.execute("SELECT plan_id FROM intents").fetchall() == before
    await journal.close()


@pytest.mark.parametrize("is_empty", [True, False])
def test_where_no_keeper_has_run_nothing_is_halted(tmp_path, is_empty):
    database = tmp_path / "keeper.sqlite"
    if is_empty:  # what a start that died early leaves
        database.touch()
    assert read_halt(database) is None
