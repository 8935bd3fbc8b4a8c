"""Who may use a database: one keeper at a time, and nobody else on the machine."""

import os
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.ledger_files import refused, used_database
from tests.support.ledger_records import opened, plan, submission

NOBODY = 65534


@pytest.fixture
async def database(tmp_path):
    return await used_database(tmp_path)


@pytest.fixture
def any_mode():
    """A process that takes no permission away from what it makes."""
    before = os.umask(0)
    yield
    os.umask(before)


def files_of(folder):
    return list(folder.iterdir())


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
