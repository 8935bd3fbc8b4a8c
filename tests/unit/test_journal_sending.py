"""The journal of sending: batches, replacements, outcomes that a reorg undid, the halt."""

import sqlite3
from contextlib import closing

import pytest

from keeper.core.chain import DataCost
from keeper.core.errors import InvariantError
from keeper.core.plan import Purpose, Status
from keeper.core.values import replace
from keeper.ledger.books import read_books
from keeper.ledger.schema import SCHEMA_VERSION, TABLES
from keeper.ledger.spending import read_spending
from keeper.ledger.standing import rearm
from tests.support.ledger_records import (
    HandClock,
    account,
    ended,
    hash32,
    landed,
    opened,
    plan,
    submission,
)

GAS = 10**15


async def sent(journal, one, *, nonce=0):
    transaction = submission(one, nonce=nonce)
    await journal.seal([(one, transaction)])
    await journal.record_all_sent([transaction])
    return transaction


async def test_a_batch_is_on_disk_whole_or_not_at_all(tmp_path):
    journal = await opened(tmp_path)
    first, second = plan(1), plan(2)
    with pytest.raises(InvariantError, match="expected nonce 0"):
        await journal.seal([(first, submission(first)), (second, submission(second))])
    assert await journal.open_intents() == []
    await journal.seal([(first, submission(first)), (second, submission(second, nonce=1))])
    assert [one.status for one in await journal.open_intents()] == [Status.SIGNED] * 2
    await journal.close()


async def test_every_transaction_of_an_intent_is_known_after_a_restart(tmp_path):
    journal = await opened(tmp_path)
    one = plan()
    first = await sent(journal, one)
    dearer = replace(submission(one, replacement=1), lane="a relay")
    cancel = replace(submission(one, replacement=2), purpose=Purpose.CANCEL)
    await journal.record_signed(dearer)
    await journal.record_signed(cancel)
    await journal.record_signed(cancel)
    await journal.close()
    again = await opened(tmp_path)
    (found,) = await again.open_intents()
    await again.close()
    assert found.attempts == (cancel, dearer, first)


async def test_each_signer_has_nonces_of_its_own(tmp_path):
    journal = await opened(tmp_path)
    first = await sent(journal, plan(1), nonce=5)
    other = replace(submission(plan(2), nonce=5), sender=account(78))
    await journal.seal([(plan(2), other)])
    assert await journal.open_submissions() == [first, other]
    await sent(journal, plan(3), nonce=6)
    assert await journal.highest_nonce(account(78)) == 5
    assert await journal.highest_nonce(first.sender) == 6
    assert await journal.highest_nonce(account(79)) is None
    await journal.close()


async def test_open_transactions_come_oldest_first_without_those_that_are_over(tmp_path):
    journal = await opened(tmp_path)
    over = await sent(journal, plan(3), nonce=0)
    await journal.settle(landed(plan(3), over))
    first, second = await sent(journal, plan(1), nonce=1), await sent(journal, plan(2), nonce=2)
    dearer = submission(plan(1), nonce=1, replacement=1)
    await journal.record_signed(dearer)
    assert await journal.open_submissions() == [first, second, dearer]
    await journal.close()


async def test_when_a_transaction_was_first_sent_is_kept(tmp_path):
    clock = HandClock()
    journal = await opened(tmp_path, clock=clock)
    first, at = await sent(journal, plan(1)), int(clock.now())
    clock.seconds += 12
    await journal.record_all_sent([first])
    await journal.close()
    with closing(sqlite3.connect(tmp_path / "keeper.sqlite")) as db:
        assert db.execute("SELECT status, sent FROM submissions").fetchall() == [("sent", at)]


async def test_the_same_bytes_are_never_of_two_intents(tmp_path):
    journal = await opened(tmp_path)
    first = await sent(journal, plan(1))
    same = replace(first, plan_id=plan(2).id)
    await journal.intend(plan(2))
    words = f"expected it for intent {plan(2).id}, found it for {plan(1).id}"
    with pytest.raises(InvariantError, match=words):
        await journal.record_signed(same)
    with pytest.raises(InvariantError, match=words):
        await journal.record_sent(same)
    await journal.close()


async def test_what_may_still_be_paid_is_by_the_dearest_transaction_of_an_intent(tmp_path):
    journal = await opened(tmp_path)
    one, other = replace(plan(1), data_cost=DataCost(wei=7)), plan(2)
    await sent(journal, one)
    await sent(journal, other, nonce=1)
    for number, max_fee in enumerate((50, 40, 20)):
        fees = replace(one.fees, max_fee=max_fee * 10**9)
        await journal.record_signed(replace(submission(one, replacement=number + 1), fees=fees))
    staked = one.gas_limit * 50 * 10**9 + 7 + other.gas_limit * other.fees.max_fee
    assert await journal.gas_at_stake() == staked
    spending = read_spending(tmp_path / "keeper.sqlite", since=0)
    assert (spending.at_stake, spending.open_intents) == (staked, 2)
    await journal.close()


async def test_an_outcome_whose_block_is_gone_leaves_the_books_and_opens_its_intent(tmp_path):
    journal = await opened(tmp_path)
    one = plan()
    transaction = await sent(journal, one)
    await journal.settle(landed(one, transaction))
    assert await journal.reopen(one.id) is Status.SENT
    assert [found.status for found in await journal.open_intents()] == [Status.SENT]
    books = read_books(tmp_path / "keeper.sqlite")
    assert (books.entries, books.total.realised.net, books.open_intents) == ((), 0, 1)
    await journal.settle(landed(one, transaction))
    await journal.close()


async def test_an_intent_beside_another_of_its_account_is_open_only_to_be_cancelled(tmp_path):
    journal = await opened(tmp_path)
    first, second = plan(1, head=100), plan(1, head=105)
    transaction = await sent(journal, first)
    await journal.settle(landed(first, transaction))
    await sent(journal, second, nonce=1)
    assert await journal.reopen(first.id) is Status.UNDONE
    await journal.close()
    journal = await opened(tmp_path)
    found = await journal.open_intents()
    assert [one.status for one in found] == [Status.UNDONE, Status.SENT]
    cancel = replace(transaction, tx_hash=hash32(7), purpose=Purpose.CANCEL)
    await journal.record_signed(cancel)
    await journal.record_sent(cancel)
    assert [one.status for one in await journal.open_intents()] == [Status.UNDONE, Status.SENT]
    await journal.settle(ended(first, Status.CANCELLED, gas=GAS, tx_hash=cancel.tx_hash))
    books = read_books(tmp_path / "keeper.sqlite")
    assert [entry.status for entry in books.entries] == [Status.CANCELLED]
    assert books.open_intents == 1
    await journal.close()


async def test_an_intent_is_not_opened_again_when_its_nonce_is_taken_by_another(tmp_path):
    journal = await opened(tmp_path)
    first, second = plan(1), plan(2)
    await sent(journal, first)
    await journal.settle(ended(first, Status.DROPPED))
    await sent(journal, second, nonce=0)
    assert await journal.reopen(first.id) is None
    await journal.close()


async def test_a_corrected_outcome_is_not_final_any_more(tmp_path):
    journal = await opened(tmp_path)
    one = plan()
    transaction = await sent(journal, one)
    await journal.settle(landed(one, transaction))
    await journal.finish([one.id])
    assert await journal.unfinal() == []
    await journal.revise(replace(landed(one, transaction), block=120))
    (found,) = await journal.unfinal()
    assert found.block == 120
    await journal.close()


async def test_an_outcome_is_corrected_where_it_stands(tmp_path):
    journal = await opened(tmp_path)
    one = plan()
    transaction = await sent(journal, one)
    await journal.settle(landed(one, transaction))
    await journal.revise(ended(one, Status.REVERTED, gas=GAS, tx_hash=transaction.tx_hash))
    books = read_books(tmp_path / "keeper.sqlite")
    assert [entry.status for entry in books.entries] == [Status.REVERTED]
    assert books.total.realised.net == -GAS
    await journal.close()


async def test_an_open_intent_has_no_outcome_to_correct(tmp_path):
    journal = await opened(tmp_path)
    await sent(journal, plan())
    with pytest.raises(InvariantError, match="expected an outcome to correct, found sent"):
        await journal.revise(ended(plan(), Status.DROPPED))
    await journal.close()


async def test_outcomes_that_are_not_final_come_with_their_block_and_every_transaction(tmp_path):
    journal = await opened(tmp_path)
    old, new = plan(1, head=90), plan(2, head=100)
    first = await sent(journal, old)
    second = await sent(journal, new, nonce=1)
    await journal.settle(replace(landed(old, first), block_hash=hash32(91)))
    await journal.settle(replace(landed(new, second), block_hash=hash32(101)))
    await journal.finish([old.id])
    (found,) = await journal.unfinal()
    assert (found.block, found.block_hash) == (101, hash32(101))
    assert found.intent.attempts == (second,)
    await journal.close()


async def test_a_bundle_that_was_given_up_is_known_with_the_last_block_it_aimed_at(tmp_path):
    journal = await opened(tmp_path)
    one = plan(head=90)
    first = await sent(journal, one)
    await journal.retarget(replace(first, target_block=99))
    await journal.settle(ended(one, Status.DROPPED, tx_hash=first.tx_hash))
    (found,) = await journal.unfinal()
    assert found.intent.attempts == (replace(first, target_block=99),)
    await journal.close()


async def test_what_was_never_journaled_aims_at_no_other_block(tmp_path):
    journal = await opened(tmp_path)
    await sent(journal, plan())
    strange = submission(plan(), nonce=7)
    with pytest.raises(InvariantError, match="expected it journaled before it is sent"):
        await journal.retarget(strange)
    await journal.close()


async def test_a_halt_outlives_the_keeper_until_somebody_rearms(tmp_path):
    journal = await opened(tmp_path)
    await journal.halt("three reverts")
    await journal.halt("a later reason")
    await journal.close()
    again = await opened(tmp_path)
    assert (await again.standing()).halted == "three reverts"
    assert rearm(tmp_path / "keeper.sqlite", now=5) == "three reverts"
    assert (await again.standing()).halted is None
    await again.close()


async def test_the_tally_starts_anew_when_somebody_rearms(tmp_path):
    clock = HandClock()
    journal = await opened(tmp_path, clock=clock)
    for index in range(3):
        one = plan(index + 1)
        transaction = await sent(journal, one, nonce=index)
        clock.seconds += 1
        await journal.settle(ended(one, Status.REVERTED, gas=GAS, tx_hash=transaction.tx_hash))
    tally = await journal.tally(day=0, hour=0)
    assert (tally.reverts_in_row, tally.loss, tally.wasted) == (3, 3 * GAS, 3 * GAS)
    rearm(tmp_path / "keeper.sqlite", now=int(clock.seconds))
    tally = await journal.tally(day=0, hour=0)
    assert (tally.reverts_in_row, tally.loss, tally.wasted) == (0, 0, 0)
    await journal.close()


async def test_a_database_of_the_first_version_is_brought_up_to_date(tmp_path):
    path = tmp_path / "keeper.sqlite"
    journal = await opened(tmp_path)
    one = plan()
    transaction = await sent(journal, one)
    await journal.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DROP TABLE standing")
        db.execute("ALTER TABLE submissions DROP COLUMN purpose")
        db.execute("ALTER TABLE submissions DROP COLUMN lane")
        db.execute("ALTER TABLE checkpoints DROP COLUMN places")
        db.execute("ALTER TABLE checkpoints DROP COLUMN since")
        db.execute("ALTER TABLE outcomes DROP COLUMN final")
        db.execute("ALTER TABLE outcomes DROP COLUMN block_hash")
        db.execute("DROP TABLE taken")
        db.execute("DROP INDEX intents_by_carrier")
        db.execute("ALTER TABLE intents DROP COLUMN carried_by")
        db.execute("ALTER TABLE intents DROP COLUMN forced")
        db.execute("UPDATE meta SET schema_version = 1")
    again = await opened(tmp_path)
    (found,) = await again.open_intents()
    assert found.attempts == (transaction,)
    await again.settle(landed(one, transaction))
    await again.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT schema_version FROM meta").fetchone() == (SCHEMA_VERSION,)
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()
    assert tables == sum("CREATE TABLE" in statement for statement in TABLES)


async def test_that_a_transaction_was_sent_may_be_known_after_it_landed(tmp_path):
    journal = await opened(tmp_path)
    one = plan()
    transaction = submission(one)
    await journal.seal([(one, transaction)])
    await journal.settle(landed(one, transaction))
    await journal.record_all_sent([transaction])
    books = read_books(tmp_path / "keeper.sqlite")
    assert [entry.status for entry in books.entries] == [Status.LANDED]
    await journal.close()
