"""Where discovery stopped: a block, and every account seen up to it."""

import sqlite3
from collections.abc import Iterable

from msgspec import Struct

from keeper.core.lending import AccountRef
from keeper.core.units import Address, Hash32


class Checkpoint(Struct, frozen=True, kw_only=True):
    """A block up to which every account of a deployment is known."""

    block: int
    hash: Hash32


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
    db.execute(
        "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)",
        (deployment, checkpoint.block, checkpoint.hash, now),
    )


def select_checkpoint(db: sqlite3.Connection, deployment: str) -> Checkpoint | None:
    """Return the last checkpoint of a deployment."""
    row = db.execute(
        "SELECT block, block_hash FROM checkpoints WHERE deployment = ?", (deployment,)
    ).fetchone()
    return None if row is None else Checkpoint(block=row[0], hash=Hash32(row[1]))


def select_accounts(db: sqlite3.Connection, deployment: str) -> frozenset[AccountRef]:
    """Return every account of a deployment that was ever recorded."""
    rows = db.execute("SELECT market, account FROM accounts WHERE deployment = ?", (deployment,))
    return frozenset(
        AccountRef(market=market, account=Address(account)) for market, account in rows
    )
