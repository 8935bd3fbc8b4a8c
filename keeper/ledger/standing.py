"""Whether sending is halted, kept in the database so that only a person's word resumes it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from keeper.core.errors import ConfigError
from keeper.core.plan import Status
from keeper.core.standing import StandingRow, Tally
from keeper.ledger.recent import select_costs
from keeper.ledger.store import is_made, reading, transaction


def select_standing(db: sqlite3.Connection) -> StandingRow:
    """Return whether sending is halted."""
    row = db.execute("SELECT halted, since, rearmed FROM standing").fetchone()
    halted, since, rearmed = row or (None, 0, 0)
    return StandingRow(halted=halted, since=since, rearmed=rearmed)


def read_halt(path: Path) -> str | None:
    """Return why sending is halted as of now, None when it is not, or no keeper has run yet.

    Raises ConfigError for a database that cannot be read.
    """
    if not is_made(path):
        return None
    with reading(path) as db:
        return select_standing(db).halted


def record_halt(db: sqlite3.Connection, why: str, *, now: int) -> None:
    """Record that sending stops. The first reason stands until a person has seen it."""
    found = select_standing(db)
    if found.halted is None:
        db.execute("INSERT OR REPLACE INTO standing VALUES (1, ?, ?, ?)", (why, now, found.rearmed))


def select_tally(db: sqlite3.Connection, *, day: int, hour: int) -> Tally:
    """Return what outcomes cost since the start of a day and of an hour, unix seconds.

    What was settled before sending was last allowed again is not counted. A transaction that
    reverted for several accounts is one revert.
    """
    rearmed = select_standing(db).rearmed
    newest = db.execute(
        """SELECT o.status, coalesce(carried_by, plan_id) FROM outcomes o
        JOIN intents USING (plan_id) WHERE settled >= ? AND o.status IN ('landed', 'reverted')
        ORDER BY o.rowid DESC""",  # as they were entered: the clock may have gone back
        (rearmed,),
    )
    reverted: set[str] = set()
    for status, carrier in newest:
        if status != Status.REVERTED:
            break
        reverted.add(carrier)
    nets = db.execute(
        """SELECT o.net FROM outcomes o JOIN intents USING (plan_id)
        WHERE settled >= ? AND o.status != 'simulated' AND NOT forced""",
        (max(day, rearmed),),
    )
    gas = db.execute(
        """SELECT o.gas FROM outcomes o JOIN intents USING (plan_id) WHERE settled >= ?
        AND o.status IN ('reverted', 'cancelled') AND NOT forced""",
        (max(hour, rearmed),),
    )
    forced_since = max(day, rearmed)
    return Tally(
        reverts_in_row=len(reverted),
        loss=-sum(int(net) for (net,) in nets),
        wasted=sum(int(one) for (one,) in gas),
        forced=select_costs(db, forced_since).spent(hour=0, day=forced_since).forced,
    )


def rearm(path: Path, *, now: int) -> str | None:
    """Let sending go on, also under a running keeper; return why it had stopped, if it had.

    What was settled before no longer counts towards the breaker, although the clock was ahead of
    ``now`` then. Raises ConfigError when there is no such database.
    """
    with _beside_the_keeper(path) as db:
        found = select_standing(db)
        (newest,) = db.execute("SELECT coalesce(max(settled), 0) FROM outcomes").fetchone()
        rearmed = max(now, newest) + 1
        db.execute("INSERT OR REPLACE INTO standing VALUES (1, NULL, ?, ?)", (now, rearmed))
    return found.halted


def halt_database(path: Path, why: str, *, now: int) -> bool:
    """Record from outside that sending stops, also where no keeper is open.

    Returns False where there is no database yet, or none that can be written.
    """
    try:
        with _beside_the_keeper(path) as db:
            record_halt(db, why, now=now)
    except ConfigError:
        return False
    return True


def read_standing(path: Path) -> StandingRow:
    """Return whether sending is halted. Raises ConfigError when there is no such database."""
    with reading(path) as db:
        return select_standing(db)


@contextmanager
def _beside_the_keeper(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database for one transaction, whether a keeper has it open or not.

    Raises ConfigError when there is no such database, or it cannot be written.
    """
    with reading(path):
        pass
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA busy_timeout = 5000")
            db.execute("PRAGMA synchronous = FULL")
            with transaction(db):
                yield db
    except sqlite3.Error as error:
        msg = f"{path}: expected a Keeper database that can be written, found: {error}"
        raise ConfigError(msg) from error
