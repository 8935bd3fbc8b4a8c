"""Signed transactions in the database: recorded before they are sent, never two nonces for one."""

import sqlite3
from typing import Final

from keeper.core.chain import Fees
from keeper.core.errors import InvariantError
from keeper.core.plan import Purpose, Status, Submission
from keeper.core.units import Address, Hash32
from keeper.ledger.lifecycle import OPEN, OPEN_LIST, move, status_of

_SUBMISSION: Final = (
    "plan_id, sender, nonce, tx_hash, raw, max_fee, priority_fee, target_block, purpose, lane "
    "FROM submissions"
)


def insert_submission(db: sqlite3.Connection, submission: Submission, *, now: int) -> None:
    """Record a signed transaction; for an intent that has one, it must replace its nonce."""
    if _is_recorded(db, submission):
        return
    status = status_of(db, submission.plan_id)
    if status not in OPEN:
        msg = f"intent {submission.plan_id}: expected an open one to sign for, found it {status}"
        raise InvariantError(msg)
    _require_own_nonce(db, submission)
    insert_row(db, submission, Status.SIGNED, now=now)
    if status == Status.INTENDED:
        move(db, submission.plan_id, Status.SIGNED, now=now)


def insert_row(db: sqlite3.Connection, submission: Submission, status: Status, *, now: int) -> None:
    """Write a signed transaction's row."""
    db.execute(
        "INSERT INTO submissions VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?)",
        (
            submission.tx_hash,
            submission.plan_id,
            submission.sender,
            submission.nonce,
            submission.raw,
            str(submission.fees.max_fee),
            str(submission.fees.priority_fee),
            submission.target_block,
            status,
            now,
            submission.purpose,
            submission.lane,
        ),
    )


def _is_recorded(db: sqlite3.Connection, submission: Submission) -> bool:
    """Return whether this very transaction is recorded for this very intent."""
    found = db.execute(
        "SELECT plan_id FROM submissions WHERE tx_hash = ?", (submission.tx_hash,)
    ).fetchone()
    if found is None:
        return False
    if found[0] != submission.plan_id:
        msg = (
            f"transaction {submission.tx_hash}: expected it for intent {submission.plan_id}, "
            f"found it for {found[0]}"
        )
        raise InvariantError(msg)
    return True


def _require_own_nonce(db: sqlite3.Connection, submission: Submission) -> None:
    """Raise InvariantError when the intent has another nonce, or the nonce another intent."""
    query = f"""SELECT s.plan_id, s.nonce FROM submissions s JOIN intents i USING (plan_id)
        WHERE s.sender = ? AND ((s.plan_id = ? AND s.nonce != ?)
        OR (s.nonce = ? AND s.plan_id != ? AND i.status IN ({OPEN_LIST})))"""  # noqa: S608
    plan_id, nonce = submission.plan_id, submission.nonce
    found = db.execute(query, (submission.sender, plan_id, nonce, nonce, plan_id)).fetchone()
    if found is not None:
        msg = (
            f"intent {plan_id}: expected nonce {nonce} to be its only one and nobody else's, "
            f"found nonce {found[1]} of intent {found[0]}"
        )
        raise InvariantError(msg)


def mark_sent(db: sqlite3.Connection, submission: Submission, *, now: int) -> None:
    """Record that the node took a transaction that was recorded as signed."""
    if not _is_recorded(db, submission):
        msg = f"transaction {submission.tx_hash}: expected it journaled before it is sent"
        raise InvariantError(msg)
    db.execute(
        "UPDATE submissions SET status = ?, sent = coalesce(sent, ?) WHERE tx_hash = ?",
        (Status.SENT, now, submission.tx_hash),
    )
    if status_of(db, submission.plan_id) not in {Status.SENT, Status.UNDONE}:
        move(db, submission.plan_id, Status.SENT, now=now)


def update_target(db: sqlite3.Connection, submission: Submission) -> None:
    """Record that a transaction, as it is, is offered for another block."""
    if not _is_recorded(db, submission):
        msg = f"transaction {submission.tx_hash}: expected it journaled before it is sent"
        raise InvariantError(msg)
    db.execute(
        "UPDATE submissions SET target_block = ? WHERE tx_hash = ?",
        (submission.target_block, submission.tx_hash),
    )


def submissions_of(db: sqlite3.Connection, plan_id: str) -> list[Submission]:
    """Return every signed transaction of an intent, oldest first."""
    rows = db.execute(
        f"SELECT {_SUBMISSION} WHERE plan_id = ? ORDER BY sequence",
        (plan_id,),
    ).fetchall()
    return [submission_of(row) for row in rows]


def select_open_submissions(db: sqlite3.Connection) -> list[Submission]:
    """Return every signed transaction whose intent has no outcome, replaced ones included."""
    rows = db.execute(
        f"""SELECT {_SUBMISSION} WHERE plan_id IN
        (SELECT plan_id FROM intents WHERE status IN ({OPEN_LIST})) ORDER BY sequence"""  # noqa: S608
    ).fetchall()
    return [submission_of(row) for row in rows]


def select_signed_with(db: sqlite3.Connection, sender: Address, nonce: int) -> list[Hash32]:
    """Return the hash of every transaction signed with a nonce, also of one that was dropped."""
    query = "SELECT tx_hash FROM submissions WHERE sender = ? AND nonce = ? ORDER BY sequence"
    return [Hash32(tx_hash) for (tx_hash,) in db.execute(query, (sender, nonce))]


def submission_of(row: tuple[str, str, int, str, bytes, str, str, int, str, str]) -> Submission:
    """Return the submission in a row."""
    plan_id, sender, nonce, tx_hash, raw, max_fee, priority_fee, target, purpose, lane = row
    return Submission(
        plan_id=plan_id,
        sender=Address(sender),
        nonce=nonce,
        tx_hash=Hash32(tx_hash),
        raw=raw,
        fees=Fees(max_fee=int(max_fee), priority_fee=int(priority_fee)),
        target_block=target,
        purpose=Purpose(purpose),
        lane=lane,
    )
