"""The wall clock is set back: nothing that was lost meanwhile is hidden from the breaker."""

from pathlib import Path

from keeper.core.plan import Outcome, Plan, Status
from keeper.ledger.journal import SqliteJournal
from keeper.ledger.standing import rearm
from tests.support.ledger_records import HandClock, ended, landed, opened, plan, submission

AHEAD_S = 7_200


async def settled(journal: SqliteJournal, one: Plan, nonce: int, outcome: Outcome) -> None:
    await journal.intend(one)
    await journal.record_signed(submission(one, nonce=nonce))
    await journal.settle(outcome)


async def reverted(journal: SqliteJournal, borrower: int) -> None:
    one = plan(borrower)
    await settled(journal, one, borrower, ended(one, Status.REVERTED, gas=7))


async def test_reverts_after_the_clock_went_back_follow_what_landed_before(tmp_path: Path) -> None:
    clock = HandClock()
    journal = await opened(tmp_path, clock=clock)
    clock.seconds += AHEAD_S
    one = plan(1)
    await settled(journal, one, 1, landed(one, submission(one, nonce=1)))
    clock.seconds -= AHEAD_S
    await reverted(journal, 2)
    await reverted(journal, 3)
    assert (await journal.tally(day=0, hour=0)).reverts_in_row == 2
    await journal.close()


async def test_what_is_lost_after_a_rearming_counts_although_the_clock_went_back(
    tmp_path: Path,
) -> None:
    clock = HandClock()
    journal = await opened(tmp_path, clock=clock)
    rearm(tmp_path / "keeper.sqlite", now=int(clock.now()) + AHEAD_S)
    await reverted(journal, 1)
    now = int(clock.now())
    tally = await journal.tally(day=now - 86_400, hour=now - 3_600)
    assert (tally.reverts_in_row, tally.loss, tally.wasted) == (1, 7, 7)
    await journal.close()


async def test_a_rearming_forgives_what_was_lost_while_the_clock_was_ahead(tmp_path: Path) -> None:
    clock = HandClock()
    journal = await opened(tmp_path, clock=clock)
    clock.seconds += AHEAD_S
    await reverted(journal, 1)
    clock.seconds -= AHEAD_S
    rearm(tmp_path / "keeper.sqlite", now=int(clock.now()))
    assert (await journal.tally(day=0, hour=0)).reverts_in_row == 0
    await reverted(journal, 2)
    tally = await journal.tally(day=0, hour=0)
    assert (tally.reverts_in_row, tally.loss) == (1, 7)
    await journal.close()
