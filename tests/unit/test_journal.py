"""The journal: records survive, steps keep their order, one open intent for an account."""

import asyncio

import pytest

from keeper.core.chain import DataCost, Fees
from keeper.core.errors import InvariantError
from keeper.core.lending import AccountRef, Reason, Scope
from keeper.core.plan import Purpose, Status
from keeper.core.values import replace
from keeper.ledger.checkpoints import Checkpoint
from keeper.ledger.spending import read_spending
from tests.support.ledger_records import (
    DEPLOYMENT,
    MARKET,
    OPERATOR,
    HandClock,
    account,
    ended,
    hash32,
    landed,
    opened,
    plan,
    rejection,
    submission,
)


async def test_a_journal_opened_again_knows_what_was_open(tmp_path):
    journal = await opened(tmp_path)
    intended, sent = plan(1), plan(2)
    await journal.intend(intended)
    await journal.intend(sent)
    transaction = submission(sent, nonce=7)
    await journal.record_signed(transaction)
    await journal.record_sent(transaction)
    await journal.close()

    again = await opened(tmp_path)
    found = await again.open_intents()
    await again.close()

    assert [(one.plan_id, one.status) for one in found] == [
        (intended.id, Status.INTENDED),
        (sent.id, Status.SENT),
    ]
    assert found[0].submission is None
    assert found[1].submission == transaction
    assert (found[1].ref, found[1].deadline, found[1].tip) == (sent.ref, sent.deadline, sent.tip)


async def test_an_outcome_closes_its_intent(tmp_path):
    journal = await opened(tmp_path)
    one = plan()
    transaction = submission(one)
    await journal.intend(one)
    await journal.record_signed(transaction)
    await journal.record_sent(transaction)
    await journal.settle(landed(one, transaction))

    assert await journal.open_intents() == []
    assert await journal.open_submissions() == []
    await journal.close()


async def test_a_second_intent_for_an_account_with_an_open_one_is_refused(tmp_path):
    journal = await opened(tmp_path)
    await journal.intend(plan(1, head=100))
    with pytest.raises(InvariantError, match=r"expected no open intent for 0x0+1, found"):
        await journal.intend(plan(1, head=101))
    await journal.close()


async def test_an_account_may_be_tried_again_once_its_intent_is_closed(tmp_path):
    journal = await opened(tmp_path)
    first, second = plan(1, head=100), plan(1, head=101)
    await journal.intend(first)
    await journal.settle(ended(first, Status.DROPPED))
    await journal.intend(second)

    assert [one.plan_id for one in await journal.open_intents()] == [second.id]
    await journal.close()


async def test_the_same_account_in_another_deployment_is_another_account(tmp_path):
    journal = await opened(tmp_path)
    await journal.intend(plan(1))
    await journal.intend(plan(1, deployment="aave_v3.other"))
    assert len(await journal.open_intents()) == 2
    await journal.close()


async def test_repeating_a_step_with_the_same_content_changes_nothing(tmp_path):
    journal = await opened(tmp_path)
    one = plan()
    transaction = submission(one)
    outcome = landed(one, transaction)
    for _ in range(2):
        await journal.intend(one)
    for step in (journal.record_signed, journal.record_sent):
        await step(transaction)
        await step(transaction)
    assert await journal.open_submissions() == [transaction]
    await journal.settle(outcome)
    await journal.settle(outcome)
    assert await journal.open_intents() == []
    await journal.close()


async def test_an_intent_that_was_signed_is_not_intended_again(tmp_path):
    journal = await opened(tmp_path)
    await journal.intend(plan())
    await journal.record_signed(submission(plan()))
    with pytest.raises(InvariantError, match="found it signed already"):
        await journal.intend(plan())
    await journal.close()


async def test_a_transaction_is_not_sent_before_it_is_journaled(tmp_path):
    journal = await opened(tmp_path)
    await journal.intend(plan())
    with pytest.raises(InvariantError, match="journaled before it is sent"):
        await journal.record_sent(submission(plan()))
    await journal.close()


async def test_a_replacement_must_keep_its_intents_nonce(tmp_path):
    journal = await opened(tmp_path)
    one = plan()
    await journal.intend(one)
    await journal.record_signed(submission(one, nonce=3))
    await journal.record_signed(submission(one, nonce=3, replacement=1))
    with pytest.raises(InvariantError, match="expected nonce 4"):
        await journal.record_signed(submission(one, nonce=4))
    newest = (await journal.open_intents())[0].submission
    assert newest == submission(one, nonce=3, replacement=1)
    await journal.close()


async def test_a_nonce_of_an_open_intent_is_not_used_for_another(tmp_path):
    journal = await opened(tmp_path)
    for one in (plan(1), plan(2)):
        await journal.intend(one)
    await journal.record_signed(submission(plan(1), nonce=3))
    with pytest.raises(InvariantError, match="nobody else's"):
        await journal.record_signed(submission(plan(2), nonce=3))
    await journal.close()


async def test_a_nonce_of_a_dropped_intent_may_be_used_again(tmp_path):
    journal = await opened(tmp_path)
    first, second = plan(1), plan(2)
    await journal.intend(first)
    await journal.record_signed(submission(first, nonce=3))
    await journal.settle(ended(first, Status.DROPPED))
    assert await journal.highest_nonce(OPERATOR) is None
    await journal.intend(second)
    await journal.record_signed(submission(second, nonce=3))
    assert await journal.highest_nonce(OPERATOR) == 3
    await journal.close()


async def test_a_settled_intent_is_not_settled_otherwise(tmp_path):
    journal = await opened(tmp_path)
    one = plan()
    transaction = submission(one)
    await journal.intend(one)
    await journal.record_signed(transaction)
    await journal.settle(landed(one, transaction))
    with pytest.raises(InvariantError, match="is landed: expected nothing, as it is final"):
        await journal.settle(ended(one, Status.DROPPED))
    await journal.close()


async def test_gas_spent_counts_outcomes_of_the_window_only(tmp_path):
    clock = HandClock()
    journal = await opened(tmp_path, clock=clock)
    for index, gas in enumerate((10**20, 7, 5)):
        one = plan(index + 1)
        await journal.intend(one)
        await journal.record_signed(submission(one, nonce=index))
        await journal.settle(ended(one, Status.REVERTED, gas=gas))
        await clock.sleep(3_600)
    spent = await journal.spent(hour=int(clock.now()) - 2 * 3_600, day=0)
    assert (spent.hour, spent.day) == (12, 10**20 + 12)
    await journal.close()


async def test_gas_at_stake_is_the_worst_case_of_the_open_intents(tmp_path):
    journal = await opened(tmp_path)
    one = plan(1)
    await journal.intend(one)
    await journal.intend(plan(2))
    await journal.settle(ended(plan(2), Status.DROPPED))
    assert await journal.gas_at_stake() == one.gas_limit * one.fees.max_fee
    await journal.close()


async def test_gas_at_stake_is_at_the_highest_fee_that_was_signed_for(tmp_path):
    journal = await opened(tmp_path)
    one, two = plan(1), plan(2)
    wide = Fees(max_fee=3 * one.fees.max_fee, priority_fee=one.fees.priority_fee)
    for number, each in enumerate((one, two)):
        await journal.intend(each)
        await journal.record_signed(submission(each, nonce=number))
    await journal.record_signed(replace(submission(one, replacement=1), fees=wide))
    spending = read_spending(tmp_path / "keeper.sqlite", since=0)
    most = one.gas_limit * wide.max_fee + two.gas_limit * two.fees.max_fee
    assert (await journal.gas_at_stake(), spending.at_stake) == (most, most)
    await journal.close()


async def test_a_cancellation_takes_no_more_gas_than_a_transfer(tmp_path):
    journal = await opened(tmp_path)
    one = replace(plan(1), data_cost=DataCost(wei=7, gas=500))
    wide = Fees(max_fee=3 * one.fees.max_fee, priority_fee=one.fees.priority_fee)
    wider = Fees(max_fee=1_000 * one.fees.max_fee, priority_fee=one.fees.priority_fee)
    await journal.intend(one)
    await journal.record_signed(submission(one))
    cancel = replace(submission(one, replacement=1), purpose=Purpose.CANCEL)
    await journal.record_signed(replace(cancel, fees=wide))
    assert await journal.gas_at_stake() == one.gas_limit * one.fees.max_fee + 7
    dear = replace(submission(one, replacement=2), purpose=Purpose.CANCEL, fees=wider)
    await journal.record_signed(dear)
    assert await journal.gas_at_stake() == (21_999 + 500) * wider.max_fee + 7
    await journal.close()


async def test_checkpoints_and_accounts_survive(tmp_path):
    refs = [AccountRef(market=MARKET, account=account(index)) for index in range(3)]
    journal = await opened(tmp_path)
    await journal.checkpoints.save(DEPLOYMENT, Checkpoint(block=5, hash=hash32(5)), refs[:2])
    scope = Scope(since=3, places=frozenset((MARKET, "another")))
    newest = Checkpoint(block=9, hash=hash32(9), scope=scope)
    await journal.checkpoints.save(DEPLOYMENT, newest, refs[1:])
    await journal.close()

    again = await opened(tmp_path)
    assert await again.checkpoints.newest(DEPLOYMENT) == newest
    assert await again.checkpoints.accounts(DEPLOYMENT) == frozenset(refs)
    assert await again.checkpoints.newest("aave_v3.other") is None
    await again.close()


async def test_rejections_wait_for_no_disk_but_are_all_kept(tmp_path):
    journal = await opened(tmp_path)
    for index in range(200):
        await journal.reject(DEPLOYMENT, rejection(index % 20, Reason.NO_ROUTE, block=index))
    await journal.reject(DEPLOYMENT, rejection(0, Reason.BELOW_MIN_PROFIT, block=300))
    rows = await journal._run(
        "rows", lambda db: db.execute("SELECT reason, times, block FROM rejections").fetchall()
    )
    await journal.close()
    assert sorted(rows) == sorted(
        [("below_min_profit", 1, 300)] + [("no_route", 10, 180 + k) for k in range(1, 20)]
    )


async def test_a_closed_journal_takes_nothing(tmp_path):
    journal = await opened(tmp_path)
    await journal.close()
    with pytest.raises(InvariantError, match="found it closed"):
        await journal.intend(plan())


async def test_simulated_intents_of_an_account_are_kept_as_one(tmp_path):
    journal = await opened(tmp_path)
    for head in range(100, 105):
        one = plan(1, head=head)
        await journal.intend(one)
        await journal.settle(ended(one, Status.SIMULATED))
    rows = await journal._run(
        "rows", lambda db: db.execute("SELECT plan_id, times FROM intents").fetchall()
    )
    await journal.close()
    assert rows == [(plan(1, head=104).id, 5)]


async def test_steps_asked_for_at_once_are_written_one_after_the_other(tmp_path):
    journal = await opened(tmp_path)
    async with asyncio.TaskGroup() as group:
        for index in range(50):
            group.create_task(journal.intend(plan(index + 1)))
    assert len(await journal.open_intents()) == 50
    await journal.close()
