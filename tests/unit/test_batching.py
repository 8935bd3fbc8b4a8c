"""Plans go together where that earns more, and alone where it does not or does not hold."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from keeper.core.accounting import waterfall
from keeper.core.chain import Fees, Simulated, Transaction
from keeper.core.errors import RefusedError
from keeper.core.joint import Joint
from keeper.core.lending import Reason, Rejection
from keeper.core.plan import Plan
from keeper.core.units import BPS
from keeper.core.values import replace
from keeper.executor.batching import MOST_GAS, grouped
from keeper.executor.dividing import divided, equal_parts
from keeper.executor.flight import Flight
from keeper.executor.policy import BatchRules, Exposure, Limits, judge
from keeper.executor.rehearse import Stage, run_once
from keeper.executor.settlement import received
from keeper.executor.verdicts import Report
from keeper.ledger.books import add_up
from tests.support.batch_records import (
    ACCOUNTS,
    ALL,
    ALONE_GAS,
    FEES,
    GAINS,
    PRICE,
    TOGETHER_GAS,
    Merging,
    answering,
    carried,
    decoders,
    gas_of,
    logs_of,
    merged,
    simulated,
)
from tests.support.disarmed import LIMITS, disarmed
from tests.support.ledger_records import USDC, VALUATION, WETH, HandClock, opened
from tests.support.rehearsal_node import FUTURE, HEAD, ONE, RECIPIENT, THREE, TWO, Node

STAGE = Stage(head=HEAD, timestamp=FUTURE, ahead=(), overrides={})
NOTHING = Exposure(
    spent_hour=0, spent_day=0, at_stake=0, in_flight=0, busy=frozenset(), balances=None
)


async def carried_out(
    folder: Path,
    node: Node,
    *,
    rules: BatchRules = ALL,
    limits: Limits = LIMITS,
    merging: Merging | None = None,
    flight: Flight | None = None,
) -> Report:
    clock, journal = HandClock(), await opened(folder)
    executor = disarmed(journal, clock, node, limits=limits, flight=flight, batches=rules)
    joint = Joint(plans=ACCOUNTS, merging=merging or Merging())
    report = await executor.carry_out(joint, HEAD, FUTURE, decoders(), lambda *_: None)
    await journal.close()
    return report


async def test_plans_that_save_gas_together_go_together(tmp_path: Path) -> None:
    node = Node(answering())
    report = await carried_out(tmp_path, node)
    assert [one.id for one in report.shown] == [one.id for one in ACCOUNTS]
    assert len(node.rounds[-1]) == 1
    assert gas_of(report) == equal_parts(TOGETHER_GAS * PRICE, 3)
    assert [one.forecast.net + one.forecast.gas for one in report.shown] == list(GAINS)
    fees = [VALUATION.wei_floor(USDC, fee) for fee in FEES]
    assert [one.forecast.flash_fee for one in report.shown] == fees
    assert [one.companions for one in report.shown] == [()] * 3


async def test_a_batch_that_reverts_is_taken_apart_and_its_plans_go_alone(tmp_path: Path) -> None:
    node = Node(answering(broken=ACCOUNTS))
    report = await carried_out(tmp_path, node)
    assert gas_of(report) == [ALONE_GAS * PRICE] * 3
    assert report.rejected == ()


async def test_a_batch_that_the_node_does_not_tell_of_is_taken_apart(tmp_path: Path) -> None:
    alone = answering()

    def answer(before: Sequence[Transaction], one: Transaction) -> Simulated:
        if one.data not in [plan.transaction.data for plan in ACCOUNTS]:
            raise RefusedError("gas limit reached")
        return alone(before, one)

    report = await carried_out(tmp_path, Node(answer))
    assert gas_of(report) == [ALONE_GAS * PRICE] * 3
    assert report.rejected == ()


async def test_plans_that_no_program_can_carry_together_go_alone(tmp_path: Path) -> None:
    class Full(Merging):
        def merge(self, plans: Sequence[Plan]) -> Plan:
            raise RefusedError(f"expected at most 64 tokens, found {len(plans)}")

    node = Node(answering())
    report = await carried_out(tmp_path, node, merging=Full())
    assert gas_of(report) == [ALONE_GAS * PRICE] * 3
    assert len(node.rounds) == 1


async def test_a_batch_that_saves_nothing_is_taken_apart(tmp_path: Path) -> None:
    report = await carried_out(tmp_path, Node(answering(together=3 * ALONE_GAS)))
    assert gas_of(report) == [ALONE_GAS * PRICE] * 3
    report = await carried_out(tmp_path / "next", Node(answering(together=3 * ALONE_GAS - 1)))
    assert sum(gas_of(report)) == (3 * ALONE_GAS - 1) * PRICE


async def test_a_batch_that_risks_more_than_it_saves_is_not_tried(tmp_path: Path) -> None:
    node = Node(answering())
    report = await carried_out(tmp_path, node, rules=BatchRules(most=10, risk_bps=BPS))
    assert gas_of(report) == [ALONE_GAS * PRICE] * 3
    assert len(node.rounds) == 1


async def test_a_batch_in_which_one_would_not_pay_by_itself_is_taken_apart(tmp_path: Path) -> None:
    """The last one's part of the gas is more than what it takes alone."""
    spare = GAINS[-1] - ALONE_GAS * PRICE

    def answer(_before: Sequence[Transaction], one: Transaction) -> Simulated:
        plans = carried(one)
        alone = 3 * ALONE_GAS if plans == [ONE] else ALONE_GAS
        return simulated(plans, alone if len(plans) == 1 else 4 * ALONE_GAS)

    report = await carried_out(tmp_path, Node(answer), limits=replace(LIMITS, min_profit=spare))
    assert gas_of(report) == [3 * ALONE_GAS * PRICE, ALONE_GAS * PRICE, ALONE_GAS * PRICE]


async def test_a_batch_over_the_gas_of_one_transaction_is_taken_apart(tmp_path: Path) -> None:
    node = Node(answering())
    alone = (ALONE_GAS * 15_000 // BPS + 150_000 + HEAD.number) * ONE.fees.max_fee
    limits = replace(LIMITS, max_gas_per_tx=alone)
    report = await carried_out(tmp_path, node, limits=limits)
    assert gas_of(report) == [ALONE_GAS * PRICE] * 3


async def test_whoever_was_in_a_batch_that_reverted_goes_alone(tmp_path: Path) -> None:
    flight, node = Flight(), Node(answering())
    flight.reverted_together([ONE.ref, TWO.ref])
    report = await carried_out(tmp_path, node, flight=flight)
    assert gas_of(report) == [ALONE_GAS * PRICE] * 3
    assert len(node.rounds) == 1


async def test_whoever_cannot_be_merged_goes_alone(tmp_path: Path) -> None:
    merging = Merging(alone=frozenset({ONE.id}))
    report = await carried_out(tmp_path, Node(answering(together=1_000_000)), merging=merging)
    assert gas_of(report) == [ALONE_GAS * PRICE, 500_000 * PRICE, 500_000 * PRICE]


async def test_nobody_goes_with_others_where_the_operator_wants_no_batches(tmp_path: Path) -> None:
    node, merging = Node(answering()), Merging()
    report = await carried_out(tmp_path, node, rules=BatchRules(), merging=merging)
    assert (len(node.rounds), merging.made) == (1, [])
    assert gas_of(report) == [ALONE_GAS * PRICE] * 3


def sizes(plans: Sequence[Plan], rules: BatchRules, *, without: Sequence[Plan] = ()) -> list[int]:
    able = {one.ref for one in plans} - {one.ref for one in without}
    return [len(one) for one in grouped(plans, able, rules, STAGE)]


def test_the_last_ones_go_together_and_no_more_than_the_operator_wants() -> None:
    assert sizes(ACCOUNTS, BatchRules(most=2)) == [1, 2]
    assert sizes(ACCOUNTS, BatchRules(most=3)) == [3]


def test_only_neighbours_at_the_same_fees_that_can_be_merged_go_together() -> None:
    dearer = replace(TWO, fees=Fees(max_fee=ONE.fees.max_fee + 1, priority_fee=1))
    assert sizes((ONE, dearer, THREE), ALL) == [1, 1, 1]
    assert sizes(ACCOUNTS, ALL, without=[TWO]) == [1, 1, 1]
    assert sizes(ACCOUNTS, ALL, without=[ONE]) == [1, 2]


def test_no_batch_may_need_more_gas_than_a_transaction_may_have() -> None:
    big = [replace(one, gas_limit=MOST_GAS // 2) for one in ACCOUNTS]
    assert sizes(big, ALL) == [1, 2]
    assert sizes([replace(one, gas_limit=MOST_GAS) for one in ACCOUNTS], ALL) == [1, 1, 1]


async def test_a_batch_of_which_one_liquidates_other_than_planned_does_not_hold() -> None:
    off = replace(TWO, quote=replace(TWO.quote, repay=TWO.quote.repay + 1))
    node = Node(lambda _before, one: simulated(carried(one), TOGETHER_GAS))
    (found,) = await run_once([merged(ONE, off, THREE)], node, STAGE, decoders())
    assert isinstance(found, Rejection)
    assert (found.reason, found.ref) == (Reason.SIMULATION_DIFFERS, TWO.ref)


def test_what_the_accounts_moved_adds_up_to_what_the_transaction_moved() -> None:
    logs, refs = logs_of(ACCOUNTS), [one.ref for one in ACCOUNTS]
    parts = divided(logs, refs, decoders(), tip=11, gas=100)
    assert [one.received for one in parts] == list(GAINS)
    assert sum(GAINS) == received(logs, WETH, RECIPIENT)
    assert [one.flash_fee for one in parts] == list(FEES)
    assert [one.gas for one in parts] == [34, 33, 33]
    assert [one.tip for one in parts] == [11, 0, 0]
    whole = add_up(waterfall(one, VALUATION) for one in parts)
    assert whole.net == sum(GAINS) - 100


@pytest.mark.parametrize("absent", ACCOUNTS)
def test_an_account_that_was_not_liquidated_has_its_part_of_the_gas_and_nothing_else(
    absent: Plan,
) -> None:
    there = [one for one in ACCOUNTS if one is not absent]
    logs, refs = logs_of(there), [one.ref for one in ACCOUNTS]
    parts = dict(zip(refs, divided(logs, refs, decoders(), tip=0, gas=300), strict=True))
    missing = parts.pop(absent.ref)
    assert (missing.liquidations, missing.flash_fee, missing.gas) == ((), 0, 100)
    found = {one.ref: gain for one, gain in zip(ACCOUNTS, GAINS, strict=True) if one is not absent}
    assert {ref: one.received for ref, one in parts.items()} == found
    assert missing.received == 0


def test_policy_holds_each_account_of_a_batch_to_the_least_net_and_to_one_intent() -> None:
    batch = merged(*ACCOUNTS)
    assert judge(batch, LIMITS, NOTHING) is None
    busy = replace(NOTHING, busy=frozenset({(THREE.ref.market, THREE.ref.account)}))
    assert (no := judge(batch, LIMITS, busy)) is not None
    assert (no.reason, no.ref) == (Reason.IN_FLIGHT, THREE.ref)
    poor = replace(THREE, least_net=THREE.forecast.net + 1)
    assert (no := judge(merged(ONE, TWO, poor), LIMITS, NOTHING)) is not None
    assert (no.reason, no.ref) == (Reason.BELOW_MIN_PROFIT, THREE.ref)
    after = NOTHING.with_plan(batch)
    assert after.in_flight == 1
    assert {account for _, account in after.busy} == {one.ref.account for one in ACCOUNTS}
