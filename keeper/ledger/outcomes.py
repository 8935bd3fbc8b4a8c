"""How intents end, in the database: entered, corrected after a reorg, or taken back.

Each function is one step, run inside a transaction; of a batch it is the step of all its accounts.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

from keeper.core.errors import InvariantError
from keeper.core.plan import Outcome, Status
from keeper.ledger.intents import forget_earlier_simulations, waterfall_row
from keeper.ledger.lifecycle import (
    CLAIMING_LIST,
    FINAL,
    ON_CHAIN,
    OPEN_LIST,
    move,
    status_of,
)
from keeper.ledger.record import to_json
from keeper.ledger.schema import WATERFALL
from keeper.ledger.standing import select_standing
from keeper.ledger.submissions import submissions_of

_OF_ITS_NONCE: Final = f"""SELECT 1 FROM submissions a
    JOIN submissions b ON a.sender = b.sender AND a.nonce = b.nonce
    JOIN intents other ON other.plan_id = b.plan_id
    WHERE a.plan_id = ? AND other.plan_id != ? AND other.status IN ({OPEN_LIST})"""  # noqa: S608
_OF_ITS_ACCOUNTS: Final = f"""SELECT 1 FROM intents mine JOIN intents other
    USING (deployment, market, account) WHERE ? IN (mine.plan_id, mine.carried_by)
    AND other.plan_id != mine.plan_id AND other.status IN ({CLAIMING_LIST})"""  # noqa: S608
"""Other open intents of an intent's nonce, or of an account of its transaction."""

_SETTLED: Final = 5 + len(WATERFALL) + 2
"""Where the time of settling stands in a row of ``outcomes``."""
_COLUMNS: Final = ", ".join((
    "plan_id", "status", "tx_hash", "block", "gas_used", *WATERFALL, "liquidations", "detail",
    "settled", "block_hash", "final",
))  # fmt: skip
_SLOTS: Final = ", ".join("?" * (_COLUMNS.count(",") + 2))

_NOT_FINAL: Final = 0


def insert_outcome(db: sqlite3.Connection, outcome: Outcome, *, now: int) -> None:
    """Record how the intent of each account of a transaction ended."""
    for one in outcome.each:
        _insert_one_outcome(db, one, now=now)


def _insert_one_outcome(db: sqlite3.Connection, outcome: Outcome, *, now: int) -> None:
    if outcome.status not in FINAL:
        msg = f"intent {outcome.plan_id}: expected a final status, found {outcome.status}"
        raise InvariantError(msg)
    row = _outcome_row(outcome)
    found = db.execute("SELECT * FROM outcomes WHERE plan_id = ?", (outcome.plan_id,)).fetchone()
    if found is not None and (*found[:_SETTLED], *found[_SETTLED + 1 : -1]) == row:
        return
    move(db, outcome.plan_id, outcome.status, now=now)
    _write_outcome(db, row, now=now)
    if outcome.status == Status.SIMULATED:
        forget_earlier_simulations(db, outcome.plan_id)


def _write_outcome(db: sqlite3.Connection, row: tuple[str | int | None, ...], *, now: int) -> None:
    """Enter an outcome, never dated before the last rearming: a clock that goes back hides none.

    One that a reorg only moved keeps its time and place: the breaker and the days count it once.
    """
    kept = db.execute(
        "SELECT rowid, settled FROM outcomes WHERE plan_id = ? AND status = ?", row[:2]
    ).fetchone()
    place, settled = kept or (None, max(now, select_standing(db).rearmed))
    db.execute(
        f"INSERT OR REPLACE INTO outcomes (rowid, {_COLUMNS}) VALUES ({_SLOTS})",  # noqa: S608 - constants
        (place, *row[:_SETTLED], settled, *row[_SETTLED:], _NOT_FINAL),
    )


def revise_outcome(db: sqlite3.Connection, outcome: Outcome, *, now: int) -> None:
    """Correct outcomes after a reorg: the same intent ended otherwise, or in another block.

    Raises InvariantError when there is no outcome to correct.
    """
    for one in outcome.each:
        _revise_one(db, one, now=now)


def _revise_one(db: sqlite3.Connection, outcome: Outcome, *, now: int) -> None:
    found = status_of(db, outcome.plan_id)
    if found not in {*ON_CHAIN, Status.DROPPED} or outcome.status not in {
        *ON_CHAIN,
        Status.DROPPED,
    }:
        msg = f"intent {outcome.plan_id}: expected an outcome to correct, found {found}"
        raise InvariantError(msg)
    _write_outcome(db, _outcome_row(outcome), now=now)
    db.execute(
        "UPDATE intents SET status = ?, updated = ? WHERE plan_id = ?",
        (outcome.status, now, outcome.plan_id),
    )


def finish_outcomes(db: sqlite3.Connection, plan_ids: Sequence[str]) -> None:
    """Take note that no reorg undoes these outcomes, nor those of what went with them, any more."""
    db.executemany(
        """UPDATE outcomes SET final = 1 WHERE plan_id IN
        (SELECT plan_id FROM intents WHERE ? IN (plan_id, carried_by))""",
        [(one,) for one in plan_ids],
    )


def reopen_intent(db: sqlite3.Connection, plan_id: str, *, now: int) -> Status | None:
    """Take an outcome out of the books because its block is gone, and open the intent again.

    So are those of all that went with it. Returns how it is open: undone where one of its accounts
    has another open intent by now. None, with nothing done, when its nonce has one.
    """
    found = status_of(db, plan_id)
    if found not in {*ON_CHAIN, Status.DROPPED} or not submissions_of(db, plan_id):
        msg = f"intent {plan_id}: expected a sent one that ended, to open again, found it {found}"
        raise InvariantError(msg)
    if db.execute(_OF_ITS_NONCE, (plan_id, plan_id)).fetchone() is not None:
        return None
    is_claimed = db.execute(_OF_ITS_ACCOUNTS, (plan_id,)).fetchone() is not None
    status = Status.UNDONE if is_claimed else Status.SENT
    db.execute(
        """DELETE FROM outcomes WHERE plan_id IN
        (SELECT plan_id FROM intents WHERE ? IN (plan_id, carried_by))""",
        (plan_id,),
    )
    db.execute(
        "UPDATE intents SET status = ?, updated = ? WHERE ? IN (plan_id, carried_by)",
        (status, now, plan_id),
    )
    return status


def _outcome_row(outcome: Outcome) -> tuple[str | int | None, ...]:
    return (
        outcome.plan_id,
        str(outcome.status),
        outcome.tx_hash,
        outcome.block,
        str(outcome.gas_used),
        *waterfall_row(outcome.realised),
        to_json(outcome.liquidations),
        outcome.detail,
        outcome.block_hash,
    )
