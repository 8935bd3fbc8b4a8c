"""Where discovery stopped: a block, and every account seen up to it."""

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from msgspec import Struct

from keeper.core.lending import NOWHERE, AccountRef, Scope
from keeper.core.units import Address, Hash32
from keeper.ledger.writer import Writer
from keeper.runtime.clock import Clock

_AT_ONCE: Final = 1_000
"""Accounts recorded before whatever else there is to write has its turn: a send may wait for it."""


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
        """Record the accounts first seen since the last checkpoint, then that this one is there.

        They are gone through once, in the writer's thread. What is interrupted records the rest
        with the next one.
        """
        now, left = int(self._clock.now()), iter(new_accounts)
        what, block = f"checkpoint of {deployment}", checkpoint.block
        while await self._writer.run(what, lambda db: insert_some(db, deployment, block, left)):
            pass
        await self._writer.run(
            what, lambda db: upsert_checkpoint(db, deployment, checkpoint, now=now)
        )


def insert_some(
    db: sqlite3.Connection, deployment: str, block: int, accounts: Iterator[AccountRef]
) -> bool:
    """Record the next accounts, as first seen at a block; return whether more may be left."""
    rows = [(deployment, one.market, one.account, block) for one in islice(accounts, _AT_ONCE)]
    db.executemany("INSERT OR IGNORE INTO accounts VALUES (?, ?, ?, ?)", rows)
    return len(rows) == _AT_ONCE


def upsert_checkpoint(
    db: sqlite3.Connection, deployment: str, checkpoint: Checkpoint, *, now: int
) -> None:
    """Record a checkpoint, of which all accounts are recorded."""
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
