"""The write-ahead journal: an async face on one database and the one thread that writes it."""

import sqlite3
from collections.abc import Awaitable, Collection, Sequence
from pathlib import Path
from typing import Self, TypeVar

from keeper.core.lending import Rejection
from keeper.core.plan import Intent, Outcome, Plan, Settled, Status, Submission
from keeper.core.standing import Spent, StandingRow, Tally
from keeper.core.units import Address, Hash32
from keeper.ledger.armed import (
    delete_armed,
    fire_all,
    insert_armed,
    insert_noted,
    select_armed,
)
from keeper.ledger.checkpoints import CheckpointJournal
from keeper.ledger.intents import insert_intent, select_open_intents, select_tried, select_unfinal
from keeper.ledger.lifecycle import OPEN, status_of
from keeper.ledger.others import OthersJournal
from keeper.ledger.outcomes import finish_outcomes, insert_outcome, reopen_intent, revise_outcome
from keeper.ledger.recent import Costs, NewestHead, select_costs, select_newest_head
from keeper.ledger.spending import select_gas_at_stake, select_highest_nonce
from keeper.ledger.spool import Spool
from keeper.ledger.standing import record_halt, select_standing, select_tally
from keeper.ledger.store import ChainIdentity, DatabaseLock, beside, lock_database, open_for_writing
from keeper.ledger.submissions import (
    insert_submission,
    mark_sent,
    select_open_submissions,
    select_signed_with,
    update_target,
)
from keeper.ledger.writer import Work, Writer
from keeper.runtime.clock import Clock

T = TypeVar("T")


class SqliteJournal:
    """Implements ``core.ports.Journal`` and budgets on SQLite.

    Each method returns when its record is on disk, ``reject`` excepted. When the disk fails, the
    method that met it raises InvariantError, and so does every one after it: what cannot be
    journaled is not sent.
    """

    def __init__(self, path: Path, *, clock: Clock) -> None:
        """Make a closed journal; ``open`` opens it."""
        self._clock = clock
        self._writer = Writer(path)
        self.others = OthersJournal(self._writer, clock)
        self.checkpoints = CheckpointJournal(self._writer, clock)
        self._lock: DatabaseLock | None = None
        self.spool = Spool(beside(path, ".spool"))
        """Transactions that are out and not in the database yet."""
        self._newest_head = NewestHead()
        self.planned_before = -1
        """The newest head that an earlier run made a plan at, as far as that is recorded."""
        self._costs: Costs | None = None
        self._outcomes = 0
        """How often outcomes changed: what was read of them before is not theirs now."""

    @classmethod
    async def open(cls, path: Path, identity: ChainIdentity, *, clock: Clock) -> Self:
        """Open the database of a chain, or make it.

        Raises ConfigError when it is another chain's, another keeper holds it, or it cannot be
        read and written.
        """
        journal = cls(path, clock=clock)
        journal._lock = lock_database(path)
        try:
            await journal._writer.open(lambda: open_for_writing(path, identity, now=journal._now()))
            journal.planned_before = await journal._run("the newest head", select_newest_head)
            journal._newest_head.recorded(journal.planned_before)
        except BaseException:
            await journal.close()
            raise
        return journal

    async def close(self) -> None:
        """Write what is waiting, close the database and release it to others.

        Raises InvariantError, with everything released, when the disk failed and nobody knows yet.
        """
        try:
            await self._writer.close()
        finally:
            self.spool.close()
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    async def intend(self, plan: Plan) -> None:
        """Record that the plan will be carried out.

        Raises InvariantError when the account has another open intent.
        """
        now = self._now()
        self._newest_head.recorded(plan.opportunity.block.number)
        await self._run(f"intent {plan.id}", lambda db: insert_intent(db, plan, now=now))

    async def seal(self, signed: Sequence[tuple[Plan, Submission]]) -> None:
        """Record plans with their signed transactions, all of them or none, before any is sent."""
        await self.launch(signed)

    def launch(self, signed: Sequence[tuple[Plan, Submission]]) -> Awaitable[None]:
        """Make armed plans open intents, as they are now: their transactions go out.

        It is queued at once, before all that is recorded later.
        """
        now = self._now()
        self._newest_head.recorded(*(plan.opportunity.block.number for plan, _ in signed))

        def work(db: sqlite3.Connection) -> None:
            delete_armed(db, [plan.id for plan, _ in signed])
            for plan, submission in signed:
                insert_intent(db, plan, now=now)
                insert_submission(db, submission, now=now)

        return self._writer.begin(f"{len(signed)} signed transactions", work)

    async def record_signed(self, submission: Submission) -> None:
        """Record a signed transaction before it is sent.

        A further one for the same intent must replace the first: same sender, same nonce.
        """
        now, what = self._now(), f"transaction {submission.tx_hash}"
        await self._run(what, lambda db: insert_submission(db, submission, now=now))

    async def retarget(self, submission: Submission) -> None:
        """Record the block that a recorded transaction is offered for next, before it is."""
        what = f"the target of {submission.tx_hash}"
        await self._run(what, lambda db: update_target(db, submission))

    async def record_sent(self, submission: Submission) -> None:
        """Record that the node took the transaction."""
        now, what = self._now(), f"transaction {submission.tx_hash}"
        await self._run(what, lambda db: mark_sent(db, submission, now=now))

    async def record_all_sent(self, submissions: Sequence[Submission]) -> None:
        """Record that the node took each of the transactions; some may have landed meanwhile."""
        now = self._now()

        def work(db: sqlite3.Connection) -> None:
            for submission in submissions:
                if status_of(db, submission.plan_id) in OPEN:
                    mark_sent(db, submission, now=now)

        await self._run(f"{len(submissions)} sent transactions", work)

    async def arm(self, signed: Sequence[tuple[Plan, Submission]]) -> None:
        """Record plans with transactions signed ahead, all or none, before any may be sent."""
        now = self._now()
        self._newest_head.recorded(*(plan.opportunity.block.number for plan, _ in signed))

        def work(db: sqlite3.Connection) -> None:
            for plan, submission in signed:
                insert_armed(db, plan, submission, now=now)

        await self._run(f"{len(signed)} armed transactions", work)

    async def disarm(self, plan_ids: Collection[str]) -> None:
        """Forget armed plans that are void; one that was fired is left alone."""
        await self._run("void plans", lambda db: delete_armed(db, plan_ids))

    async def armed(self) -> list[Intent]:
        """Return what is armed: after a start, what an earlier run left."""
        return await self._run("armed plans", select_armed)

    def noted(self) -> list[Submission]:
        """Return what an earlier run noted, as far as it is whole."""
        return self.spool.read()

    async def keep_notes(self) -> None:
        """Put what an earlier run noted with what it armed, and empty the notes."""
        now, noted = self._now(), self.noted()
        if noted:
            await self._run("noted transactions", lambda db: insert_noted(db, noted, now=now))
        self.spool.clear()

    def note(self, submission: Submission, *, dry: bool = False) -> None:
        """Write a transaction of an armed plan, signed anew, where a killed process leaves it."""
        self._writer.require_whole()
        if dry:
            self.spool.touch(submission)
        else:
            self.spool.append(submission)

    def fired(self, submissions: Sequence[Submission]) -> Awaitable[None]:
        """Make armed plans open intents: these transactions of theirs are out."""
        now, spooled = self._now(), self.spool.end

        def work(db: sqlite3.Connection) -> None:
            fire_all(db, submissions, now=now)

        return self._booked(self._writer.begin("fired transactions", work), spooled)

    async def _booked(self, written: Awaitable[None], spooled: int) -> None:
        await written
        self.spool.forget(spooled)

    async def settle(self, outcome: Outcome) -> None:
        """Record how the intent ended and enter it in the books."""
        self._outcome_changes()
        now, what = self._now(), f"outcome of {outcome.plan_id}"
        await self._run(what, lambda db: insert_outcome(db, outcome, now=now))

    async def revise(self, outcome: Outcome) -> None:
        """Correct an outcome in the books: a reorg changed how the intent ended."""
        self._outcome_changes()
        now, what = self._now(), f"corrected outcome of {outcome.plan_id}"
        await self._run(what, lambda db: revise_outcome(db, outcome, now=now))

    async def reopen(self, plan_id: str) -> Status | None:
        """Take an outcome out of the books, its block being gone; return how it is open again.

        It is undone where another intent has its account by now. None, with nothing done, when
        another has its nonce.
        """
        self._outcome_changes()
        now = self._now()
        return await self._run(f"intent {plan_id}", lambda db: reopen_intent(db, plan_id, now=now))

    async def unfinal(self) -> list[Settled]:
        """Return the intents with transactions whose end a reorg may still undo."""
        return await self._run("recent outcomes", select_unfinal)

    async def finish(self, plan_ids: Sequence[str]) -> None:
        """Record that no reorg undoes the end of these intents any more."""
        await self._run("final outcomes", lambda db: finish_outcomes(db, plan_ids))

    async def halt(self, why: str) -> None:
        """Record that nothing more is sent until a person allows it."""
        now = self._now()
        await self._run("the halt", lambda db: record_halt(db, why, now=now))

    async def standing(self) -> StandingRow:
        """Return whether sending is halted."""
        return await self._run("standing", select_standing)

    async def tally(self, *, day: int, hour: int) -> Tally:
        """Return what outcomes cost since the start of a day and of an hour, unix seconds."""
        return await self._run("the tally", lambda db: select_tally(db, day=day, hour=hour))

    async def reject(self, deployment: str, rejection: Rejection) -> None:
        """Take note of why an opportunity was not taken; on disk with the next record or soon.

        Nothing is decided by it after a crash, so it waits for no disk.
        """
        self._writer.reject(deployment, rejection, now=self._now())

    async def tried(self, plans: Sequence[Plan]) -> frozenset[str]:
        """Return the ids of the plans that were more than shown, in this run or an earlier one."""
        if self._newest_head.is_before(plans):
            return frozenset()
        ids = [plan.id for plan in plans]
        return await self._run("tried plans", lambda db: select_tried(db, ids))

    async def open_intents(self) -> list[Intent]:
        """Return every intent without an outcome, oldest first."""
        return await self._run("open intents", select_open_intents)

    async def open_submissions(self) -> list[Submission]:
        """Return every signed transaction whose intent has no outcome, oldest first."""
        return await self._run("open submissions", select_open_submissions)

    async def spent(self, *, hour: int, day: int) -> Spent:
        """Return what outcomes took since the start of an hour and of a day, unix seconds."""
        since, known, outcomes = min(hour, day), self._costs, self._outcomes
        if known is None or since < known.since:
            known = await self._run("what was spent", lambda db: select_costs(db, since))
            self._costs = known if outcomes == self._outcomes else None
        return known.spent(hour=hour, day=day)

    async def gas_at_stake(self) -> int:
        """Return the most wei of gas that the open intents may still cost."""
        return await self._run("gas at stake", select_gas_at_stake)

    async def highest_nonce(self, sender: Address) -> int | None:
        """Return the highest nonce signed with that may be used up."""
        return await self._run("nonces", lambda db: select_highest_nonce(db, sender))

    async def signed_with(self, sender: Address, nonce: int) -> list[Hash32]:
        """Return every transaction that we signed with a nonce, of whatever became of it."""
        return await self._run("a nonce", lambda db: select_signed_with(db, sender, nonce))

    def _outcome_changes(self) -> None:
        self._costs, self._outcomes = None, self._outcomes + 1

    def _now(self) -> int:
        return int(self._clock.now())

    async def _run(self, what: str, work: Work[T]) -> T:
        """Run work as one transaction in the writer's thread."""
        return await self._writer.run(what, work)
