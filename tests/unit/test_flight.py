"""The intents without an outcome: what they hold, what they may cost, and when none is left."""

import asyncio

import pytest

from keeper.core.chain import DataCost, Transaction
from keeper.core.gas_limit import CANCEL_GAS
from keeper.core.plan import Companion, Intent, Plan, Purpose, Status, Submission
from keeper.core.units import Address
from keeper.core.values import replace
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


def test_what_a_rollup_charges_for_data_is_at_stake_once() -> None:
    flight = aloft((replace(ONE, data_cost=DataCost(gas=3, wei=70)), 5))
    assert flight.at_stake == 100_000 * 30 * 10**9 + 70
    flight.replaced(signed(ONE, 5, max_fee=50 * 10**9))
    assert flight.at_stake == 100_000 * 50 * 10**9 + 70
    assert flight.staked == {SIGNER.address: flight.at_stake}


def test_what_is_at_stake_is_told_by_sender_and_what_is_forced_by_deployment() -> None:
    other = Address("0x" + "0b" * 20)
    forced = replace(TWO, forced=True, deployment="other")
    flight = aloft((ONE, 5), (forced, 6))
    flight.took_off(numbered(3), replace(signed(numbered(3), 5), sender=other))
    fee = 30 * 10**9
    assert flight.staked == {SIGNER.address: 300_000 * fee, other: 300_000 * fee}
    assert flight.forced_staked == {"other": 200_000 * fee}
    flight.took_off(replace(numbered(4), forced=True, deployment="other"), signed(numbered(4), 7))
    assert flight.forced_staked == {"other": 600_000 * fee}
    assert flight.senders == {SIGNER.address, other}
    assert (flight.held(SIGNER.address), flight.held(other)) == ({5, 6, 7}, {5})


def test_each_change_is_seen_by_whoever_keeps_what_was_asked() -> None:
    flight = Flight()
    seen = [flight.changes]
    first, second = signed(ONE, 5), signed(ONE, 5, max_fee=50 * 10**9)
    intent = journaled(ONE, first)
    for change in (
        lambda: flight.took_off(ONE, first),
        lambda: flight.replaced(second),
        lambda: flight.retargeted(replace(second, target_block=110)),
        lambda: flight.landed(ONE.id),
        lambda: flight.reopened(intent),
    ):
        change()
        seen.append(flight.changes)
    assert sorted(set(seen)) == seen


def test_what_aims_at_another_block_is_the_same_transaction() -> None:
    flight = aloft((ONE, 5))
    flight.replaced(second := signed(ONE, 5, max_fee=50 * 10**9))
    aimed = replace(second, target_block=110)
    flight.retargeted(aimed)
    assert flight.airborne[ONE.id].intent.attempts == (aimed, signed(ONE, 5))


def test_what_takes_off_is_known_as_the_journal_would_know_it() -> None:
    companions = (replace(numbered(3), least_net=11), numbered(4))
    data = DataCost(wei=7, gas=8)
    of = replace(ONE, tip=9, forced=True, companions=companions, data_cost=data, least_net=10)
    flight = aloft((of, 5))
    intent = flight.airborne[ONE.id].intent
    assert intent == replace(
        journaled(of, signed(of, 5)),
        forced=True,
        companions=tuple(
            Companion(plan_id=one.id, ref=one.ref, valuation=one.valuation, least_net=least)
            for one, least in zip(companions, (11, 0), strict=True)
        ),
        data_cost=data,
        valuation=of.valuation,
        least_net=10,
    )
    assert flight.busy == {(MARKET, ref.account) for ref in intent.refs}
    assert len(flight.busy) == 3


def test_each_further_transaction_stands_before_all_earlier_ones() -> None:
    flight = aloft((ONE, 5))
    rungs = [signed(ONE, 5, max_fee=fee * 10**9) for fee in (40, 50, 60)]
    for rung in rungs:
        flight.replaced(rung)
    assert flight.airborne[ONE.id].intent.attempts == (*reversed(rungs), signed(ONE, 5))


def test_a_restart_takes_the_liquidation_from_the_oldest_transaction() -> None:
    cancel = replace(signed(numbered(9), 5, max_fee=60 * 10**9), purpose=Purpose.CANCEL)
    restored = Flight([journaled(ONE, signed(ONE, 5), cancel)])
    one = restored.airborne[ONE.id]
    assert (one.transaction, one.gas_limit, one.cancelled) == (ONE.transaction, 100_000, True)
    assert restored.at_stake == 100_000 * 30 * 10**9
    assert restored.transactions() == ()


def test_a_cancellation_puts_no_more_at_stake_than_its_own_gas() -> None:
    flight = aloft((ONE, 5))
    before = flight.at_stake
    flight.replaced(replace(signed(ONE, 5, max_fee=100 * 10**9), purpose=Purpose.CANCEL))
    assert flight.at_stake == before
    flight.replaced(replace(signed(ONE, 5, max_fee=1_000 * 10**9), purpose=Purpose.CANCEL))
    assert flight.at_stake == (CANCEL_GAS + 999) * 1_000 * 10**9


def test_accounts_of_a_batch_that_reverted_go_alone_from_then_on() -> None:
    flight = Flight()
    assert flight.loners == frozenset()
    flight.reverted_together([ONE.ref, TWO.ref])
    flight.reverted_together([numbered(3).ref])
    assert flight.loners == {ONE.ref, TWO.ref, numbered(3).ref}
    many = [replace(ONE.ref, market=str(number)) for number in range(300)]
    flight.reverted_together(many)
    assert flight.loners == set(many[-256:])


async def test_one_at_a_time_takes_nonces_also_after_one_that_failed() -> None:
    flight = Flight()
    order: list[int] = []

    async def take(number: int) -> None:
        async with flight.numbered():
            assert flight.numbering
            order.append(number)
            await asyncio.sleep(0)
            assert flight.numbering
            order.append(number)
            if number == 1:
                raise KeyError(number)

    assert not flight.numbering
    found = await asyncio.gather(*(take(number) for number in (1, 2, 3)), return_exceptions=True)
    assert isinstance(found[0], KeyError)
    assert found[1:] == [None, None]
    assert order == [1, 1, 2, 2, 3, 3]
    assert not flight.numbering


def test_a_restart_knows_as_much_from_the_signed_bytes() -> None:
    flight = aloft((ONE, 5), (TWO, 6))
    restored = Flight([journaled(ONE, signed(ONE, 5)), journaled(TWO, signed(TWO, 6))])
    assert restored.at_stake == flight.at_stake
    assert restored.busy == flight.busy
    assert restored.transactions() == flight.transactions() == (ONE.transaction, TWO.transaction)
    assert restored.held(SIGNER.address) == {5, 6}


def test_an_intent_that_was_never_signed_costs_nothing_and_holds_its_account() -> None:
    restored = Flight([replace(journaled(ONE), data_cost=DataCost(wei=9))])
    assert restored.at_stake == 0
    assert restored.transactions() == ()
    assert restored.busy == {(MARKET, ONE.ref.account)}
    assert not restored.airborne[ONE.id].cancelled
    before = restored.ended
    restored.landed(ONE.id, ran=True)
    assert (restored.ended, restored.lately) == (before, frozenset())


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


def test_the_plans_that_are_to_run_at_a_head_are_known_with_those_that_go_with_them() -> None:
    flight = Flight()
    flight.took_off(replace(ONE, companions=(TWO,)), signed(ONE, 5))
    assert flight.plan_ids({SIGNER.address: 5}) == {ONE.id, TWO.id}
    assert flight.plan_ids({SIGNER.address: 6}) == frozenset()
    flight.landed(ONE.id, ran=True)
    assert flight.plan_ids({SIGNER.address: 5}) == {ONE.id, TWO.id}
    assert flight.plan_ids({SIGNER.address: 6}) == frozenset()


def test_what_a_reorg_took_back_is_in_flight_once() -> None:
    flight = aloft((ONE, 5), (TWO, 6))
    flight.landed(ONE.id, ran=True)
    flight.landed(TWO.id, ran=True)
    flight.reopened(journaled(ONE, signed(ONE, 5)))
    assert sorted(one.data for one in flight.transactions({SIGNER.address: 5})) == [b"\1", b"\2"]


def test_what_ended_and_did_not_run_is_to_run_nowhere() -> None:
    flight = aloft((ONE, 5))
    flight.landed(ONE.id)
    assert flight.lately == frozenset()
    assert flight.transactions({SIGNER.address: 5}) == ()


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
    assert {
        name: wei for name, wei in flight.forced_staked_since(flight.ended).items() if wei
    } == {}


def test_what_ended_before_and_since_is_told_apart() -> None:
    flight = aloft((ONE, 5), (TWO, 6))
    flight.landed(ONE.id)
    between = flight.ended
    flight.landed(TWO.id)
    fee = 30 * 10**9
    assert flight.staked_since(between) == {SIGNER.address: 200_000 * fee}
    assert flight.ended.by_sender == {SIGNER.address: 300_000 * fee}
    assert flight.ended.forced == {}
