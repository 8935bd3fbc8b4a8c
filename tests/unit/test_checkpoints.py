"""What a checkpoint writes of accounts: those that the database lacks, and while sends go on."""

import asyncio
from pathlib import Path

import pytest

from keeper.app.checkpoints import JournaledCheckpoints
from keeper.core.lending import AccountRef
from keeper.ledger.checkpoints import Checkpoint as Kept
from keeper.ledger.journal import SqliteJournal
from keeper.mirror.checkpoint import Checkpoint
from tests.support.ledger_records import account, hash32, opened

OLD = frozenset(AccountRef(market="pool", account=account(n)) for n in range(3))
NEW = AccountRef(market="pool", account=account(9))
FIRST = Kept(block=5, hash=hash32(5))


def at(block: int, accounts: frozenset[AccountRef]) -> Checkpoint:
    return Checkpoint(block=block, hash=hash32(block), accounts=accounts)


async def written(
    journal: SqliteJournal, monkeypatch, store: JournaledCheckpoints
) -> set[AccountRef]:
    """Save a checkpoint with one more account; return what was handed to the database."""
    told: set[AccountRef] = set()
    save = journal.checkpoints.save

    async def watched(deployment, checkpoint, new):
        told.update(new)
        await save(deployment, checkpoint, told)

    monkeypatch.setattr(journal.checkpoints, "save", watched)
    await store.save("d", at(6, OLD | {NEW}))
    assert await journal.checkpoints.accounts("d") == OLD | {NEW}
    return told


async def test_what_was_kept_with_the_newest_checkpoint_is_not_written_again(
    tmp_path: Path, monkeypatch
) -> None:
    journal = await opened(tmp_path)
    await JournaledCheckpoints(journal.checkpoints).save("d", at(5, OLD))
    again = JournaledCheckpoints(journal.checkpoints)
    await again.adopt("d", FIRST, dict.fromkeys(OLD, True))
    assert await written(journal, monkeypatch, again) == {NEW}
    await journal.close()


async def test_with_another_checkpoint_all_are_written(tmp_path: Path, monkeypatch) -> None:
    journal = await opened(tmp_path)
    await JournaledCheckpoints(journal.checkpoints).save("d", at(4, frozenset()))
    again = JournaledCheckpoints(journal.checkpoints)
    await again.adopt("d", FIRST, dict.fromkeys(OLD, True))
    assert await written(journal, monkeypatch, again) == OLD | {NEW}
    await journal.close()


MANY = [AccountRef(market="pool", account=account(n)) for n in range(2_500)]


async def test_what_is_sent_does_not_wait_for_all_accounts_of_a_first_checkpoint(
    tmp_path: Path,
) -> None:
    journal = await opened(tmp_path)
    saving = asyncio.ensure_future(journal.checkpoints.save("d", FIRST, MANY))
    await asyncio.sleep(0)  # it is in line before what is written now
    assert await journal.standing() is not None
    assert not saving.done()
    await saving
    assert await journal.checkpoints.accounts("d") == frozenset(MANY)
    assert await journal.checkpoints.newest("d") == FIRST
    await journal.close()


async def test_a_checkpoint_stands_once_all_its_accounts_are_there(tmp_path: Path) -> None:
    def broken_off():
        yield from MANY[:1_500]
        raise RuntimeError("in the middle")

    journal = await opened(tmp_path)
    await journal.checkpoints.save("d", FIRST, MANY[:1])
    with pytest.raises(RuntimeError):
        await journal.checkpoints.save("d", Kept(block=6, hash=hash32(6)), broken_off())
    assert await journal.checkpoints.newest("d") == FIRST
    assert await journal.checkpoints.accounts("d") == frozenset(MANY[:1_000])
    await journal.close()
