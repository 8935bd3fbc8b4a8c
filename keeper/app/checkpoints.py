"""Keep the mirror's checkpoints in the ledger's database."""

from collections.abc import Collection
from typing import Protocol

from keeper.core.lending import AccountRef
from keeper.ledger.checkpoints import Checkpoint as Kept
from keeper.ledger.checkpoints import CheckpointJournal
from keeper.mirror.checkpoint import Checkpoint
from keeper.mirror.known import Held, Known


class CheckpointStore(Protocol):
    """Where the mirror's checkpoints are kept between runs."""

    async def load(self, deployment: str) -> Checkpoint | None:
        """Return the newest checkpoint, None on the first run."""
        ...

    async def save(self, deployment: str, checkpoint: Checkpoint) -> Kept:
        """Keep a checkpoint and return its mark; its accounts only ever grow."""
        ...

    async def adopt(self, deployment: str, kept: Kept, held: Held) -> None:
        """Know that who owed something was kept with a checkpoint, if it is still the newest."""
        ...


class JournaledCheckpoints:
    """Saves only the accounts that are not in the database yet."""

    def __init__(self, journal: CheckpointJournal) -> None:
        """Keep checkpoints in ``journal``."""
        self._journal = journal
        self._kept: dict[str, Collection[AccountRef]] = {}

    async def load(self, deployment: str) -> Checkpoint | None:
        """Return the newest checkpoint with every account ever recorded."""
        kept = await self._journal.newest(deployment)
        if kept is None:
            return None
        accounts = await self._journal.accounts(deployment)
        self._kept[deployment] = accounts
        return Checkpoint(block=kept.block, hash=kept.hash, accounts=accounts, scope=kept.scope)

    async def save(self, deployment: str, checkpoint: Checkpoint) -> Kept:
        """Keep a checkpoint and its new accounts; return its mark."""
        old, accounts = self._kept.get(deployment, ()), checkpoint.accounts
        new = accounts.beyond(old) if isinstance(accounts, Known) else set(accounts) - set(old)
        kept = Kept(block=checkpoint.block, hash=checkpoint.hash, scope=checkpoint.scope)
        await self._journal.save(deployment, kept, new)
        self._kept[deployment] = checkpoint.accounts
        return kept

    async def adopt(self, deployment: str, kept: Kept, held: Held) -> None:
        """Know that who owed something was kept with a checkpoint, if it is still the newest."""
        if await self._journal.newest(deployment) == kept:
            self._kept[deployment] = Known.of((), held)
