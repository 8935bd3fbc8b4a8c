"""What was spent and what is at stake, for the caps that survive a restart."""

import sqlite3

from keeper.core.units import Address
from keeper.ledger.lifecycle import OPEN_LIST


def select_gas_spent(db: sqlite3.Connection, timestamp: int) -> int:
    """Return the wei of gas of the outcomes recorded since ``timestamp``, unix seconds."""
    rows = db.execute("SELECT gas FROM outcomes WHERE settled >= ?", (timestamp,))
    return sum(int(gas) for (gas,) in rows)


def select_gas_at_stake(db: sqlite3.Connection) -> int:
    """Return the most wei of gas that the intents without an outcome may still cost."""
    rows = db.execute(
        f"SELECT gas_at_stake FROM intents WHERE status IN ({OPEN_LIST})"  # noqa: S608 - constants
    )
    return sum(int(gas) for (gas,) in rows)


def select_highest_nonce(db: sqlite3.Connection, sender: Address) -> int | None:
    """Return the highest nonce signed with that may be used up, None when there is none.

    Nonces of dropped intents are left out: the chain says whether they are free again. Those of
    armed ones are not used yet.
    """
    (nonce,) = db.execute(
        """SELECT max(nonce) FROM submissions JOIN intents USING (plan_id)
        WHERE sender = ? AND intents.status NOT IN ('dropped', 'armed')""",
        (sender,),
    ).fetchone()
    return None if nonce is None else int(nonce)
