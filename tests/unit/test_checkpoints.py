"""What a restart from the book on disk writes of accounts that the database has already."""

from pathlib import Path

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
