"""What the journal knows without asking its thread is what its thread would say."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keeper.core.plan import Plan, Status
from keeper.core.values import replace
from keeper.ledger.journal import SqliteJournal
from tests.support.ledger_records import HandClock, ended, landed, opened, plan, submission

HOUR = 3_600


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    found = await opened(tmp_path)
    yield found
    await found.close()


async def asks(journal: SqliteJournal, plans: list[Plan]) -> tuple[frozenset[str], int]:
    """Return what was tried, and how often the thread was asked for it."""
    asked: list[str] = []
    run = journal._writer.run

    async def counted(what, work):  # type: ignore[no-untyped-def]
        asked.append(what)
        return await run(what, work)

    journal._writer.run = counted  # type: ignore[method-assign]
    try:
        return await journal.tried(plans), len(asked)
    finally:
        journal._writer.run = run  # type: ignore[method-assign]


async def test_of_a_head_after_all_that_is_recorded_nothing_was_tried(
    journal: SqliteJournal,
) -> None:
    first, later = plan(1, head=100), plan(2, head=101)
    await journal.seal([(first, submission(first, nonce=1))])
    assert await asks(journal, [later]) == (frozenset(), 0)
    assert await asks(journal, [later, first]) == ({first.id}, 1)
    await journal.seal([(later, submission(later, nonce=2))])
    assert await asks(journal, [later]) == ({later.id}, 1)
    assert await asks(journal, [plan(3, head=101)]) == (frozenset(), 1)


async def test_what_an_earlier_run_recorded_is_known(tmp_path: Path) -> None:
    before = await opened(tmp_path)
    one = plan(1, head=100)
    await before.seal([(one, submission(one, nonce=1))])
    await before.close()
    again = await opened(tmp_path)
    assert await again.tried([plan(2, head=99)]) == frozenset()
    assert await again.tried([one]) == {one.id}
    await again.close()


@pytest.mark.parametrize("how", ["shown", "armed"])
async def test_what_was_shown_or_armed_counts_as_recorded(journal: SqliteJournal, how: str) -> None:
    one = plan(2, head=200)
    if how == "shown":
        await journal.intend(one)
    else:
        await journal.arm([(one, submission(one, nonce=1))])
    assert (await asks(journal, [one]))[1] == 1


async def test_what_was_spent_is_read_anew_once_an_outcome_changes(tmp_path: Path) -> None:
    clock = HandClock()
    journal = await opened(tmp_path, clock=clock)
    one = plan(1)
    sent = submission(one, nonce=1)
    await journal.seal([(one, sent)])
    start = int(clock.now())
    assert (await journal.spent(hour=start, day=0)).day == 0
    await journal.settle(ended(one, Status.REVERTED, gas=7, tx_hash=sent.tx_hash))
    assert (await journal.spent(hour=start, day=0)).day == 7
    await clock.sleep(HOUR)
    spent = await journal.spent(hour=start + 1, day=start)
    assert (spent.hour, spent.day) == (0, 7)
    found = landed(one, sent)
    await journal.revise(replace(found, realised=replace(found.realised)))
    assert (await journal.spent(hour=start, day=0)).day == found.realised.gas
    await journal.reopen(one.id)
    assert (await journal.spent(hour=start, day=0)).day == 0
    await journal.close()


async def test_an_outcome_that_comes_while_it_is_read_is_not_forgotten(
    journal: SqliteJournal,
) -> None:
    one = plan(1)
    sent = submission(one, nonce=1)
    await journal.seal([(one, sent)])
    outcome = ended(one, Status.REVERTED, gas=7, tx_hash=sent.tx_hash)
    before, _ = await asyncio.gather(journal.spent(hour=0, day=0), journal.settle(outcome))
    assert before.day == 0
    assert (await journal.spent(hour=0, day=0)).day == 7
