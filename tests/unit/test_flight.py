"""The intents without an outcome: what they hold, what they may cost, and when none is left."""

import asyncio
from dataclasses import replace

import pytest

from keeper.core.chain import Transaction
from keeper.core.plan import Intent, Plan, Purpose, Status, Submission
from keeper.executor.flight import Flight
from tests.support.eventually import PATIENCE_S
from tests.support.ledger_records import EXECUTOR, MARKET, plan
from tests.support.signed_plans import SIGNER, signed


def numbered(number: int) -> Plan:
    transaction = Transaction(sender=SIGNER.address, to=EXECUTOR, data=bytes([number]))
    return replace(plan(number), transaction=transaction, gas_limit=100_000 * number)


ONE, TWO = numbered(1), numbered(2)


def aloft(*pairs: tuple[Plan, int]) -> Flight:
    flight = Flight()
    for of, nonce in pairs:
        flight.took_off(of, signed(of, nonce))
    return flight


def journaled(of: Plan, *attempts: Submission) -> Intent:
    """Return the intent as a restart reads it, its attempts oldest first."""
    return Intent(
        plan_id=of.id,
        deployment=of.deployment,
        ref=of.ref,
        status=Status.SENT,
        tip=of.tip,
        deadline=of.deadline,
        submission=attempts[-1] if attempts else None,
        replaced=attempts[:-1],
    )


def test_an_open_intent_keeps_its_account_busy_until_it_lands() -> None:
    flight = aloft((ONE, 5), (TWO, 6))
    assert flight.busy == {(MARKET, ONE.ref.account), (MARKET, TWO.ref.account)}
    flight.landed(ONE.id)
    assert flight.busy == {(MARKET, TWO.ref.account)}


def test_at_stake_is_the_worst_that_all_of_them_may_cost() -> None:
    flight = aloft((ONE, 5), (TWO, 6))
    assert flight.at_stake == (100_000 + 200_000) * 30 * 10**9
    flight.replaced(signed(ONE, 5, max_fee=50 * 10**9))
    assert flight.at_stake == 100_000 * 50 * 10**9 + 200_000 * 30 * 10**9


def test_a_restart_knows_as_much_from_the_signed_bytes() -> None:
    flight = aloft((ONE, 5), (TWO, 6))
    restored = Flight([journaled(ONE, signed(ONE, 5)), journaled(TWO, signed(TWO, 6))])
    assert restored.at_stake == flight.at_stake
    assert restored.busy == flight.busy
    assert restored.transactions() == flight.transactions() == (ONE.transaction, TWO.transaction)
    assert restored.held(SIGNER.address) == {5, 6}


def test_an_intent_that_was_never_signed_costs_nothing_and_holds_its_account() -> None:
    restored = Flight([journaled(ONE)])
    assert restored.at_stake == 0
    assert restored.transactions() == ()
    assert restored.busy == {(MARKET, ONE.ref.account)}


def test_transactions_run_in_the_order_of_their_nonces() -> None:
    assert aloft((TWO, 9), (ONE, 4)).transactions() == (ONE.transaction, TWO.transaction)


def test_what_ran_does_not_run_again_though_its_outcome_is_open() -> None:
    flight = aloft((ONE, 5), (TWO, 6))
    assert flight.senders == {SIGNER.address}
    assert flight.transactions({SIGNER.address: 6}) == (TWO.transaction,)
    assert flight.transactions({SIGNER.address: 7}) == ()
    assert flight.transactions({EXECUTOR: 7}) == (ONE.transaction, TWO.transaction)
    assert len(flight.airborne) == 2


def test_nonces_are_held_for_their_sender_alone() -> None:
    flight = aloft((ONE, 5), (TWO, 6))
    assert flight.held(SIGNER.address) == {5, 6}
    assert flight.held(EXECUTOR) == frozenset()


def test_a_cancelled_intent_liquidates_nothing_but_stays_open() -> None:
    flight = aloft((ONE, 5), (TWO, 6))
    flight.replaced(replace(signed(ONE, 5, max_fee=60 * 10**9), purpose=Purpose.CANCEL))
    assert flight.transactions() == (TWO.transaction,)
    assert flight.held(SIGNER.address) == {5, 6}
    attempts = flight.airborne[ONE.id].intent.attempts
    assert [one.fees.max_fee for one in attempts] == [60 * 10**9, 30 * 10**9]


async def test_it_is_drained_when_the_last_one_lands() -> None:
    flight = aloft((ONE, 5), (TWO, 6))
    waiting = asyncio.ensure_future(flight.drained())
    flight.landed(ONE.id)
    await asyncio.sleep(0)
    assert not waiting.done()
    flight.landed(TWO.id)
    await asyncio.wait_for(waiting, PATIENCE_S)


async def test_with_nothing_in_flight_it_is_drained_at_once() -> None:
    await asyncio.wait_for(Flight().drained(), PATIENCE_S)


def test_what_is_not_in_flight_cannot_land() -> None:
    with pytest.raises(KeyError):
        Flight().landed(ONE.id)


def test_what_ran_since_a_head_is_still_to_run_there() -> None:
    flight = aloft((ONE, 5), (TWO, 6))
    flight.landed(ONE.id, ran=True)
    assert flight.lately == {SIGNER.address}
    assert flight.transactions({SIGNER.address: 5}) == (ONE.transaction, TWO.transaction)
    assert flight.transactions({SIGNER.address: 6}) == (TWO.transaction,)
    assert flight.transactions() == (TWO.transaction,)


def test_what_a_reorg_took_back_is_in_flight_once() -> None:
    flight = aloft((ONE, 5))
    flight.landed(ONE.id, ran=True)
    flight.reopened(journaled(ONE, signed(ONE, 5)))
    assert len(flight.transactions({SIGNER.address: 5})) == 1


def test_what_ended_since_is_still_at_stake_until_what_was_spent_is_read_again() -> None:
    flight = aloft((ONE, 5), (TWO, 6))
    before, worst = flight.ended, flight.at_stake
    flight.landed(ONE.id, ran=True)
    assert flight.at_stake < worst
    assert sum(flight.staked_since(before).values()) == worst
    assert flight.staked_since(flight.ended) == flight.staked


def test_what_a_forced_one_might_have_lost_is_still_taken_of_its_deployment() -> None:
    flight = aloft((replace(ONE, forced=True), 5))
    before, staked = flight.ended, flight.forced_staked
    assert set(staked) == {ONE.deployment}
    flight.landed(ONE.id, ran=True)
    assert flight.forced_staked == {}
    assert flight.forced_staked_since(before) == staked
