"""Plans that were only shown: they may be shown again, and sent later, under the same name."""

from pathlib import Path

import pytest

from keeper.core.errors import InvariantError
from keeper.core.plan import Status
from keeper.ledger.books import read_books
from tests.support.ledger_records import ended, opened, plan, submission


async def test_a_plan_shown_twice_in_one_block_is_one_entry(tmp_path: Path) -> None:
    for _ in range(2):
        journal = await opened(tmp_path)
        await journal.intend(plan())
        await journal.settle(ended(plan(), Status.SIMULATED))
        await journal.close()
    (entry,) = read_books(tmp_path / "keeper.sqlite").entries
    assert (entry.status, entry.times) == (Status.SIMULATED, 2)


async def test_a_plan_that_was_shown_can_be_sent_in_the_same_block(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    await journal.intend(plan())
    await journal.settle(ended(plan(), Status.SIMULATED))
    assert not await journal.tried([plan()])
    await journal.seal([(plan(), submission(plan()))])
    assert await journal.tried([plan()]) == {plan().id}
    (open_one,) = await journal.open_intents()
    assert open_one.submission == submission(plan())
    await journal.close()


async def test_a_plan_that_was_dropped_keeps_its_name(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    assert not await journal.tried([plan()])
    await journal.seal([(plan(), submission(plan()))])
    await journal.settle(ended(plan(), Status.DROPPED))
    assert await journal.tried([plan()]) == {plan().id}
    with pytest.raises(InvariantError, match="expected a new one, found it dropped already"):
        await journal.seal([(plan(), submission(plan(), nonce=1))])
    await journal.close()
