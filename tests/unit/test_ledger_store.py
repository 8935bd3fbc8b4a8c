"""Opening a database, and reading one: whose it is, and whether it is sound."""

import asyncio
import sqlite3
from contextlib import closing
from functools import partial

import pytest

from keeper.core.errors import ConfigError
from keeper.ledger.books import read_books
from keeper.ledger.schema import SCHEMA_VERSION
from keeper.ledger.spending import read_spending
from keeper.ledger.standing import read_halt
from keeper.ledger.store import reading, require_of_chain
from keeper.ledger.totals import read_sums
from tests.support.backups import back_up
from tests.support.ledger_files import refused, used_database
from tests.support.ledger_records import CHAIN, hash32, opened, plan


@pytest.fixture
async def database(tmp_path):
    return await used_database(tmp_path)


def sql(path, statement):
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        return db.execute(statement).fetchall()


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
