"""Transactions signed ahead: on disk before the fact that may send them is known.

An armed intent is not open: it holds no nonce and spends nothing until it is fired, and several
may be there for one account. The row is deleted when it is void, and becomes an open intent in one
step when its bytes were written, or when a restart finds that the node has them.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from keeper.core.errors import InvariantError
from keeper.core.plan import Intent, Plan, Status, Submission
from keeper.ledger.intents import (
    forget_simulation,
    insert_row,
    intents_in,
    require_no_open_intent,
)
from keeper.ledger.submissions import insert_row as insert_signed
from keeper.ledger.submissions import insert_submission


def insert_armed(db: sqlite3.Connection, plan: Plan, submission: Submission, *, now: int) -> None:
    """Record a plan with the transaction that was signed for it ahead."""
    times = 1 + forget_simulation(db, plan.id)
    insert_row(db, plan, Status.ARMED, times=times, now=now)
    insert_signed(db, submission, Status.ARMED, now=now)


def insert_noted(db: sqlite3.Connection, noted: Iterable[Submission], *, now: int) -> None:
    """Record further transactions of what is still armed: which of them went out is not known."""
    for one in noted:
        query = "SELECT status FROM intents WHERE plan_id = ?"
        found = db.execute(query, (one.plan_id,)).fetchone()
        query = "SELECT 1 FROM submissions WHERE tx_hash = ?"
        is_recorded = db.execute(query, (one.tx_hash,)).fetchone() is not None
        if found == (Status.ARMED,) and not is_recorded:
            insert_signed(db, one, Status.ARMED, now=now)


def delete_armed(db: sqlite3.Connection, plan_ids: Iterable[str]) -> None:
    """Forget what was armed and is void; what was fired since is left alone."""
    for plan_id in plan_ids:
        found = db.execute("SELECT status FROM intents WHERE plan_id = ?", (plan_id,)).fetchone()
        if found == (Status.ARMED,):
            db.execute("DELETE FROM submissions WHERE plan_id = ?", (plan_id,))
            db.execute("DELETE FROM intents WHERE plan_id = ?", (plan_id,))


def fire(db: sqlite3.Connection, submission: Submission, *, now: int) -> None:
    """Make an armed intent an open one: its transaction, or that one with another nonce, is out.

    Doing so twice changes nothing. Raises InvariantError when its account has another open intent.
    """
    plan_id = submission.plan_id
    found = db.execute(
        "SELECT status, deployment, market, account FROM intents WHERE plan_id = ?", (plan_id,)
    ).fetchone()
    if found is None:
        msg = f"intent {plan_id}: expected it armed before its transaction is sent, found none"
        raise InvariantError(msg)
    if found[0] == Status.ARMED:
        require_no_open_intent(db, plan_id, *found[1:])
        db.execute("DELETE FROM submissions WHERE plan_id = ?", (plan_id,))
        db.execute(
            "UPDATE intents SET status = ?, updated = ? WHERE plan_id = ?",
            (Status.INTENDED, now, plan_id),
        )
    insert_submission(db, submission, now=now)


def fire_all(db: sqlite3.Connection, submissions: Sequence[Submission], *, now: int) -> None:
    """Fire each, in order."""
    for one in submissions:
        fire(db, one, now=now)


def select_armed(db: sqlite3.Connection) -> list[Intent]:
    """Return every armed intent with its transactions, oldest first."""
    return intents_in(db, f"'{Status.ARMED}'")
