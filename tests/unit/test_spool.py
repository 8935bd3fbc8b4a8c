"""The file of what was sent before the database had it, on a disk that fails."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.core.errors import ConfigError, InvariantError
from keeper.ledger.spool import Spool
from tests.support.ledger_records import plan, submission
from tests.support.small_disk import disk_ends_at

ONE, TWO, THREE = (submission(plan(borrower), nonce=borrower) for borrower in (1, 2, 3))


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "keeper.sqlite.spool")
    yield made
    made.close()


def test_what_was_noted_is_read_back(spool: Spool) -> None:
    spool.append(ONE)
    spool.append(TWO)
    assert spool.read() == [ONE, TWO]


def test_nothing_is_noted_behind_a_line_that_was_cut_short(spool: Spool) -> None:
    spool.append(ONE)
    with disk_ends_at(spool.end + 10), pytest.raises(InvariantError, match="found 10") as cut:
        spool.append(TWO)
    with pytest.raises(InvariantError) as again:
        spool.append(THREE)
    assert str(again.value) == str(cut.value)
    assert spool.read() == [ONE]


def test_a_disk_that_takes_nothing_is_named(spool: Spool) -> None:
    spool.append(ONE)
    with disk_ends_at(spool.end), pytest.raises(InvariantError, match=r"noted, found: File too"):
        spool.append(TWO)
    assert spool.read() == [ONE]


def test_a_full_disk_does_not_keep_what_is_in_the_database_from_being_forgotten(
    spool: Spool,
) -> None:
    spool.append(ONE)
    with disk_ends_at(0):
        spool.forget(spool.end)
    spool.append(TWO)
    assert spool.read() == [TWO]


def test_a_file_that_is_not_ours_to_write_is_named(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "keeper.sqlite.spool").mkdir()
    for work in (spool.read, spool.prepare):
        with pytest.raises(ConfigError) as said:
            work()
        assert str(said.value) == (
            f"{tmp_path}/keeper.sqlite.spool: expected a file of our own, found: Is a directory"
        )
