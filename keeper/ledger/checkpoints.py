"""Where discovery stopped: a block, and every account seen up to it."""

import sqlite3
from collections.abc import Iterable

from msgspec import Struct

from keeper.core.lending import NOWHERE, AccountRef, Scope
from keeper.core.units import Address, Hash32
from keeper.ledger.writer import Writer
from keeper.runtime.clock import Clock


class Checkpoint(Struct, frozen=True, kw_only=True):
    """A block up to which every account of a deployment is known, where it was looked for."""

    block: int
    hash: Hash32
    scope: Scope = NOWHERE


class CheckpointJournal:
    """Keeps checkpoints beside the journal, in the thread that writes it.

    Each method raises InvariantError once the disk has failed.
    """

    def __init__(self, writer: Writer, clock: Clock) -> None:
        """Write by a journal's writer."""
        self._writer = writer
        self._clock = clock

    async def newest(self, deployment: str) -> Checkpoint | None:
        """Return the last checkpoint of a deployment."""
        return await self._writer.run("checkpoint", lambda db: select_checkpoint(db, deployment))

    async def accounts(self, deployment: str) -> frozenset[AccountRef]:
        """Return every account of a deployment that was ever recorded."""
        return await self._writer.run("accounts", lambda db: select_accounts(db, deployment))

    async def save(
        self, deployment: str, checkpoint: Checkpoint, new_accounts: Iterable[AccountRef]
    ) -> None:
        """Record a checkpoint and the accounts first seen since the last one.

        They are gone through once, in the writer's thread.
        """
        now = int(self._clock.now())
        await self._writer.run(
            f"checkpoint of {deployment}",
            lambda db: upsert_checkpoint(db, deployment, checkpoint, new_accounts, now=now),
        )


def upsert_checkpoint(
    db: sqlite3.Connection,
    deployment: str,
    checkpoint: Checkpoint,
    new_accounts: Iterable[AccountRef],
    *,
    now: int,
) -> None:
    """Record a checkpoint and the accounts first seen since the last one, both or neither."""
    db.executemany(
        "INSERT OR IGNORE INTO accounts VALUES (?, ?, ?, ?)",
        ((deployment, ref.market, ref.account, checkpoint.block) for ref in new_accounts),
    )
    scope = checkpoint.scope
    places = " ".join(sorted(scope.places))
    db.execute(
        """INSERT OR REPLACE INTO checkpoints
        (deployment, block, block_hash, saved, since, places) VALUES (?, ?, ?, ?, ?, ?)""",
        (deployment, checkpoint.block, checkpoint.hash, now, scope.since, places),
    )


def select_checkpoint(db: sqlite3.Connection, deployment: str) -> Checkpoint | None:
    """Return the last checkpoint of a deployment."""
    row = db.execute(
        "SELECT block, block_hash, since, places FROM checkpoints WHERE deployment = ?",
        (deployment,),
    ).fetchone()
    if row is None:
        return None
    block, block_hash, since, places = row
    scope = Scope(since=since, places=frozenset(places.split()))
    return Checkpoint(block=block, hash=Hash32(block_hash), scope=scope)


def select_accounts(db: sqlite3.Connection, deployment: str) -> frozenset[AccountRef]:
    """Return every account of a deployment that was ever recorded."""
    rows = db.execute("SELECT market, account FROM accounts WHERE deployment = ?", (deployment,))
    return frozenset(
        AccountRef(market=market, account=Address(account)) for market, account in rows
    )
