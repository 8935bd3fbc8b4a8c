"""A batch in the journal: one intent of several accounts, each with an outcome of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keeper.core.errors import InvariantError
from keeper.core.plan import Companion, Outcome, Purpose, Status
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.executor.flight import Flight
from keeper.ledger.books import read_books
from keeper.ledger.journal import SqliteJournal
from keeper.ledger.report import sheets
from keeper.ledger.spending import read_spending
from tests.support.batch_records import merged
from tests.support.ledger_records import ended, landed, opened, plan, submission

ONE, TWO, THREE, OTHER = (plan(number) for number in (1, 2, 3, 4))
BATCH = merged(ONE, TWO, THREE)
IDS = [ONE.id, TWO.id, THREE.id]
SENT = submission(BATCH)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    found = await opened(tmp_path)
    await found.seal([(BATCH, SENT)])
    yield found
    await found.close()


def whole(status: Status = Status.LANDED, *, gas: int = 0) -> Outcome:
    """Return the outcome of the batch."""
    if status is Status.LANDED:
        first, *others = (landed(one, SENT) for one in (ONE, TWO, THREE))
    else:
        first, *others = (
            ended(one, status, gas=gas, tx_hash=SENT.tx_hash) for one in (ONE, TWO, THREE)
        )
    return replace(first, companions=tuple(others))


async def test_a_batch_is_one_open_intent_that_knows_all_its_accounts(
    journal: SqliteJournal,
) -> None:
    (found,) = await journal.open_intents()
    assert (found.plan_id, found.status, found.submission) == (ONE.id, Status.SIGNED, SENT)
    assert found.refs == (ONE.ref, TWO.ref, THREE.ref)
    assert found.companions == (
        Companion(plan_id=TWO.id, ref=TWO.ref, valuation=TWO.valuation),
        Companion(plan_id=THREE.id, ref=THREE.ref, valuation=THREE.valuation),
    )
    assert await journal.tried([ONE, TWO, THREE, OTHER]) == set(IDS)


async def test_what_each_account_has_to_net_is_known_again(tmp_path: Path) -> None:
    journal, most = await opened(tmp_path), 10**30
    companions = (replace(TWO, least_net=most), THREE)
    batch = replace(ONE, least_net=7, companions=companions)
    await journal.seal([(batch, submission(batch))])
    (found,) = await journal.open_intents()
    assert found.least_nets == (7, most, 0)
    await journal.close()


async def test_a_batch_is_on_disk_whole_or_not_at_all(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    earlier = plan(3, head=99)
    await journal.seal([(earlier, submission(earlier, nonce=9))])
    with pytest.raises(InvariantError, match="expected no open intent"):
        await journal.seal([(BATCH, SENT)])
    (found,) = await journal.open_intents()
    assert (found.plan_id, found.companions) == (earlier.id, ())
    assert await journal.tried([ONE, TWO, THREE]) == frozenset()
    await journal.close()


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_no_account_of_a_batch_can_have_another_intent(
    journal: SqliteJournal, number: int
) -> None:
    later = plan(number, head=101)
    with pytest.raises(InvariantError, match="expected no open intent"):
        await journal.seal([(later, submission(later, nonce=1))])


async def test_those_that_go_with_it_are_where_it_is(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    await journal.record_all_sent([SENT])
    dearer = replace(submission(BATCH, replacement=1), purpose=Purpose.CANCEL)
    await journal.record_signed(dearer)
    await journal.close()
    again = await opened(tmp_path)
    (found,) = await again.open_intents()
    assert (found.status, found.attempts) == (Status.SENT, (dearer, SENT))
    assert found.refs == (ONE.ref, TWO.ref, THREE.ref)
    await again.settle(whole())
    assert await again.open_intents() == []
    await again.close()


async def test_each_account_has_an_outcome_and_the_books_show_that_they_went_together(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    alone = submission(OTHER, nonce=1)
    await journal.seal([(OTHER, alone)])
    await journal.settle(whole())
    await journal.settle(whole())
    await journal.settle(landed(OTHER, alone))
    books = read_books(tmp_path / "keeper.sqlite")
    assert [entry.plan_id for entry in books.entries] == [*IDS, OTHER.id]
    assert [entry.tx_hash for entry in books.entries] == [*[SENT.tx_hash] * 3, alone.tx_hash]
    assert [entry.together for entry in books.entries] == [3, 3, 3, 1]
    said = [*["landed, one of 3"] * 3, "landed"]
    assert [row[3] for row in sheets(books)[0].rows] == said
    assert books.open_intents == 0


async def test_the_gas_at_stake_of_a_batch_counts_once(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    worst = BATCH.gas_limit * BATCH.fees.max_fee
    assert await journal.gas_at_stake() == worst
    spending = read_spending(tmp_path / "keeper.sqlite", since=0)
    assert spending is not None
    assert (spending.at_stake, spending.open_intents) == (worst, 1)
    assert read_books(tmp_path / "keeper.sqlite").open_intents == 3


async def test_a_batch_that_reverted_is_one_revert_in_a_row(journal: SqliteJournal) -> None:
    await journal.settle(whole(Status.REVERTED, gas=WAD))
    tally = await journal.tally(day=0, hour=0)
    assert (tally.reverts_in_row, tally.loss, tally.wasted) == (1, 3 * WAD, 3 * WAD)
    assert (await journal.spent(hour=0, day=0)).day == 3 * WAD


async def test_an_outcome_whose_block_is_gone_is_taken_back_for_each_account(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    await journal.record_all_sent([SENT])
    await journal.settle(whole())
    (settled,) = await journal.unfinal()
    assert settled.intent.refs == (ONE.ref, TWO.ref, THREE.ref)
    assert await journal.reopen(ONE.id) is Status.SENT
    (found,) = await journal.open_intents()
    assert found.refs == (ONE.ref, TWO.ref, THREE.ref)
    books = read_books(tmp_path / "keeper.sqlite")
    assert (books.entries, books.open_intents) == ((), 3)
    await journal.settle(whole())
    assert len(read_books(tmp_path / "keeper.sqlite").entries) == 3


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_all_of_it_is_undone_where_one_of_its_accounts_has_another_intent_by_now(
    journal: SqliteJournal, tmp_path: Path, number: int
) -> None:
    await journal.settle(whole())
    later = plan(number, head=101)
    await journal.seal([(later, submission(later, nonce=1))])
    assert await journal.reopen(ONE.id) is Status.UNDONE
    assert [one.status for one in await journal.open_intents()] == [Status.UNDONE, Status.SIGNED]
    assert read_books(tmp_path / "keeper.sqlite").open_intents == 4
    await journal.settle(whole(Status.DROPPED))
    entries = read_books(tmp_path / "keeper.sqlite").entries
    assert [(one.status, one.realised.net) for one in entries] == [(Status.DROPPED, 0)] * 3


def test_what_is_in_flight_bars_every_account_and_is_one_transaction() -> None:
    flight = Flight()
    flight.took_off(BATCH, SENT)
    assert flight.busy == {(one.ref.market, one.ref.account) for one in (ONE, TWO, THREE)}
    assert len(flight.airborne) == 1
    assert flight.at_stake == BATCH.gas_limit * BATCH.fees.max_fee
    assert len(flight.transactions()) == 1
    flight.landed(ONE.id, ran=True)
    assert flight.busy == frozenset()
