"""The life of an intent: which status may follow which."""

import sqlite3
from typing import Final

from keeper.core.errors import InvariantError
from keeper.core.plan import Status

CLAIMING: Final = frozenset({Status.INTENDED, Status.SIGNED, Status.SENT})
"""Of these an account has one at most."""
OPEN: Final = frozenset({*CLAIMING, Status.UNDONE})
ON_CHAIN: Final = frozenset({Status.LANDED, Status.REVERTED, Status.CANCELLED})
FINAL: Final = frozenset({*ON_CHAIN, Status.DROPPED, Status.SIMULATED})

NEXT: Final = {
    Status.INTENDED: frozenset({Status.SIGNED, Status.DROPPED, Status.SIMULATED}),
    # A crash between the send and its record leaves SIGNED a transaction that may have landed.
    Status.SIGNED: frozenset({Status.SENT, *ON_CHAIN, Status.DROPPED}),
    Status.SENT: frozenset({*ON_CHAIN, Status.DROPPED}),
    Status.UNDONE: frozenset({*ON_CHAIN, Status.DROPPED}),
}
"""The steps from each open status. From a final one there is only the way back of ``reopen``."""

CLAIMING_LIST: Final = ", ".join(f"'{status}'" for status in sorted(CLAIMING))
OPEN_LIST: Final = ", ".join(f"'{status}'" for status in sorted(OPEN))
"""Statuses as SQL lists."""


def status_of(db: sqlite3.Connection, plan_id: str) -> Status:
    """Return where an intent stands. Raises InvariantError when it was never recorded."""
    found = db.execute("SELECT status FROM intents WHERE plan_id = ?", (plan_id,)).fetchone()
    if found is None:
        msg = f"intent {plan_id}: expected it in the journal, found none"
        raise InvariantError(msg)
    return Status(found[0])


def move(db: sqlite3.Connection, plan_id: str, to: Status, *, now: int) -> None:
    """Take one step of an intent's life. Raises InvariantError when there is no such step.

    While it is open those that go with it are where it is; each has an outcome of its own.
    """
    status = status_of(db, plan_id)
    allowed = NEXT.get(status, frozenset())
    if to not in allowed:
        wanted = ", ".join(sorted(allowed)) or "nothing, as it is final"
        msg = f"intent {plan_id} is {status}: expected {wanted} next, found {to}"
        raise InvariantError(msg)
    db.execute("UPDATE intents SET status = ?, updated = ? WHERE plan_id = ?", (to, now, plan_id))
    if to in OPEN:
        db.execute(
            "UPDATE intents SET status = ?, updated = ? WHERE carried_by = ?", (to, now, plan_id)
        )
