"""What limits and budgets leave to offer for a transaction that missed its block."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from keeper.core.chain import Fees, next_base_fee
from keeper.core.plan import Purpose
from keeper.core.values import replace
from keeper.executor.ladder import bumped
from keeper.executor.tending import NOT_REPLACED
from tests.support.disarmed import LIMITS
from tests.support.ledger_records import hash32
from tests.support.signed_plans import ONE, TWO
from tests.support.tending_yard import HEAD, Yard, decoded, yard_in


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    async with yard_in(tmp_path) as made:
        yield made


async def test_what_no_limit_leaves_a_rung_for_stays_as_it_is(yard: Yard) -> None:
    first = await yard.send(ONE, 5)
    yard.limits = replace(LIMITS, max_gas_price=bumped(first.fees.max_fee) - 1)
    with capture_logs() as lines:
        assert await yard.tend() == []
    assert yard.lane.asked == 0
    assert await yard.newest() == [first]
    assert [one["cap"] for one in lines if one["event"] == NOT_REPLACED] == [yard.limits.max_bid]


async def test_what_stands_at_the_top_of_the_ladder_can_still_be_cancelled(yard: Yard) -> None:
    first = await yard.send(ONE, 5)
    yard.limits = replace(LIMITS, max_gas_price=2 * first.fees.max_fee)
    number = HEAD.number
    while await yard.tend(number):
        number += 1
    top = (await yard.newest())[0]
    assert top.purpose is Purpose.LIQUIDATE
    assert top.fees.max_fee > first.fees.max_fee
    yard.fails(ONE)
    (cancel,) = await yard.tend(number)
    assert cancel.purpose is Purpose.CANCEL
    assert bumped(top.fees.max_fee) <= cancel.fees.max_fee <= yard.limits.max_gas_price
    assert bumped(top.fees.priority_fee) <= cancel.fees.priority_fee


async def test_many_cancellations_leave_each_other_room_in_a_budget_that_is_taken(
    yard: Yard,
) -> None:
    first, second = await yard.send(ONE, 5), await yard.send(TWO, 6)
    dear = yard.flight.airborne[ONE.id]
    yard.flight.replaced(
        replace(
            first,
            purpose=Purpose.CANCEL,
            tx_hash=hash32(9),
            fees=Fees(max_fee=2 * first.fees.max_fee, priority_fee=2 * first.fees.priority_fee),
        )
    )
    staked = ONE.gas_limit * (first.fees.max_fee + second.fees.max_fee)
    yard.limits = replace(LIMITS, max_gas_per_hour=staked)
    yard.fails(ONE, TWO)
    assert dear is not yard.flight.airborne[ONE.id]
    assert [one.nonce for one in await yard.tend()] == [5, 6]


@pytest.mark.parametrize("budget", ["max_gas_per_tx", "max_gas_per_hour", "max_gas_per_day"])
async def test_what_is_out_beyond_a_budget_is_cancelled_and_offered_no_more_for(
    yard: Yard, budget: str
) -> None:
    # It was lowered since, or a reorg brought back what the budget had been given to again.
    await yard.send(ONE, 5)
    await yard.send(TWO, 6)
    yard.limits = replace(LIMITS, **{budget: 1})
    assert await yard.tend() == []
    worst = {one.intent.plan_id: one.worst_gas for one in yard.flight.airborne.values()}
    yard.fails(ONE, TWO)
    out = await yard.tend()
    assert [(one.nonce, one.purpose) for one in out] == [(5, Purpose.CANCEL), (6, Purpose.CANCEL)]
    for one in out:
        assert one.fees.max_fee * decoded(one)[2] <= worst[one.plan_id]


async def test_what_one_rung_takes_of_a_budget_is_not_there_for_the_next(yard: Yard) -> None:
    first, second = await yard.send(ONE, 5), await yard.send(TWO, 6)
    staked = ONE.gas_limit * (first.fees.max_fee + second.fees.max_fee)
    more = ONE.gas_limit * (bumped(first.fees.max_fee) - first.fees.max_fee)
    yard.limits = replace(LIMITS, max_gas_per_hour=staked + 2 * more - 1)
    assert [one.nonce for one in await yard.tend()] == [6]
    yard.limits = replace(LIMITS, max_gas_per_hour=staked + 2 * more)
    assert [one.nonce for one in await yard.tend()] == [5]


LOWERED = 20 * 10**9
"""A cap on the gas price under what was offered before it was lowered."""


async def test_what_the_node_lost_is_not_sent_again_above_a_cap_that_was_lowered(
    yard: Yard,
) -> None:
    first = await yard.send(ONE, 5)
    assert first.fees.max_fee > LOWERED
    yard.limits = replace(yard.limits, max_gas_price=LOWERED)
    yard.wire.pending.clear()
    assert await yard.tend() == []


async def test_what_cannot_be_outbid_within_the_cap_and_no_node_has_leaves_no_gap(
    yard: Yard,
) -> None:
    first = await yard.send(ONE, 5)
    await yard.send(TWO, 6)
    yard.limits = replace(yard.limits, max_gas_price=LOWERED)
    yard.fails(ONE)
    assert await yard.tend() == [], "while a node has it nothing else is taken for its nonce"
    yard.wire.pending.discard(first.tx_hash)
    (cancel,) = await yard.tend()
    assert (cancel.purpose, cancel.nonce) == (Purpose.CANCEL, 5)
    assert next_base_fee(HEAD) <= cancel.fees.max_fee <= LOWERED
    assert await yard.tend(102) == [replace(cancel, target_block=103)], "as the node has not got it"
