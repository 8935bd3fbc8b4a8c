"""What becomes of an overdue transaction, and the most that its next rung may offer."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.core.chain import (
    NO_DATA_COST,
    DataCost,
    Fees,
    Simulated,
    StateOverride,
    Transaction,
    next_base_fee,
)
from keeper.core.errors import ConfigError, InvariantError, StaleError, TransientError
from keeper.core.gas_limit import CANCEL_GAS
from keeper.core.plan import Plan, Purpose, Status, Submission
from keeper.core.values import replace
from keeper.executor.dividing import Decoders
from keeper.executor.flight import Flight
from keeper.executor.forced import ForcedLimits
from keeper.executor.policy import Exposure, Limits
from keeper.executor.second_look import UNREAD, SecondLook, Verdict, why
from keeper.executor.settler import Auditor
from tests.support.ledger_records import DEPLOYMENT, EXECUTOR, WETH, block, plan, submission
from tests.support.rehearsal_node import (
    GAS_USED,
    ONE,
    PLANS,
    THREE,
    TWO,
    Node,
    decoders,
    done,
    failed,
)

GWEI = 10**9
PLAN = replace(plan(), gas_limit=1_000_000, fees=Fees(max_fee=30 * GWEI, priority_fee=GWEI))
ILL = plan(2, deployment="aave_v3.ill")
SENT = submission(PLAN)
WORST = PLAN.gas_limit * PLAN.fees.max_fee
HEAD = block(101)
MOST_TO_CANCEL = CANCEL_GAS + 999
USED = 500_000
PRICE = min(PLAN.fees.max_fee, next_base_fee(HEAD) + GWEI)
WIDE = 10**30
LIMITS = Limits(
    min_profit=7,
    max_gas_price=WIDE,
    max_gas_per_tx=WIDE,
    max_gas_per_hour=WIDE,
    max_gas_per_day=WIDE,
    max_in_flight=9,
    min_balance=0,
)


def rerun(*, received: int = WIDE, success: bool = True) -> Verdict:
    return Verdict(success=success, received=received, gas_used=USED, error="no")


def judged(
    verdict: Verdict | None,
    limits: Limits = LIMITS,
    *,
    balance: int | None = None,
    data: DataCost = NO_DATA_COST,
    of: Plan = PLAN,
    sent: Submission = SENT,
    **exposed: Any,
) -> tuple[Purpose, int]:
    """Return what is next for the one transaction in flight, beside what ``exposed`` says."""
    flight = Flight()
    flight.took_off(replace(of, data_cost=data), sent)
    nothing = Exposure(
        spent_hour=0,
        spent_day=0,
        at_stake=0,
        in_flight=0,
        busy=frozenset(),
        balances=None if balance is None else {SENT.sender: balance},
    )
    nobody: Any = None  # nothing is run again
    look = SecondLook(
        simulator=nobody,
        auditor_of=nobody,
        on_stuck=nobody,
        overrides={},
        limits=limits,
        block_time_s=12,
    )
    exposure = replace(nothing.by_now(flight), **exposed)
    return look.judged(sent, flight.airborne[PLAN.id], verdict, HEAD, exposure)


def test_what_leaves_its_least_profit_at_the_price_of_the_block_stays() -> None:
    enough = 7 + PRICE * USED
    assert judged(rerun(received=enough)) == (Purpose.LIQUIDATE, PRICE)
    assert judged(rerun(received=enough - 1))[0] is Purpose.CANCEL


def test_a_batch_keeps_the_least_profit_of_each_of_its_accounts() -> None:
    both = replace(PLAN, companions=(plan(2),))
    enough = 2 * 7 + PRICE * USED
    assert judged(rerun(received=enough), of=both)[0] is Purpose.LIQUIDATE
    assert judged(rerun(received=enough - 1), of=both)[0] is Purpose.CANCEL


@pytest.mark.parametrize("data", [DataCost(wei=11), DataCost(gas=11)])
def test_what_a_rollup_charges_for_data_is_paid_for_too(data: DataCost) -> None:
    enough = 7 + PRICE * (USED + data.gas) + data.wei
    assert judged(rerun(received=enough), data=data) == (Purpose.LIQUIDATE, PRICE)
    assert judged(rerun(received=enough - 1), data=data)[0] is Purpose.CANCEL


def test_a_cancellation_has_room_for_data_that_is_charged_as_gas() -> None:
    tight, data = replace(LIMITS, max_gas_per_tx=WORST), DataCost(gas=9_000)
    assert judged(None, tight, data=data) == (Purpose.CANCEL, WORST // (MOST_TO_CANCEL + 9_000))


def test_what_would_revert_or_was_not_run_again_is_cancelled() -> None:
    assert judged(rerun(success=False))[0] is Purpose.CANCEL
    assert judged(None)[0] is Purpose.CANCEL


def test_why_it_is_cancelled_is_said() -> None:
    flight = Flight()
    flight.took_off(PLAN, SENT)
    flying = flight.airborne[PLAN.id]
    assert why(flying, None) == "sending is halted"
    assert why(flying, rerun()) == "it would not pay any more"
    assert why(flying, rerun(success=False)) == "it would revert: no"
    assert why(flying, UNREAD) == "its deployment cannot read what it would do"
    undone = replace(flying, intent=replace(flying.intent, status=Status.UNDONE))
    assert why(undone, None) == "a reorg undid it, and its account has another intent by now"


class AllGoes:
    """A simulator at which everything succeeds and nothing is logged."""

    async def simulate(self, transactions: Sequence[Transaction], **_: object) -> list[Simulated]:
        return [
            Simulated(success=True, return_data=b"", logs=(), gas_used=USED, error="")
            for _ in transactions
        ]


async def ran(error: Exception) -> tuple[dict[str, Verdict], list[tuple[str, Exception]]]:
    """Return what two in flight are worth, and which is stuck, where one cannot be read."""
    flight, stuck = Flight(), list[tuple[str, Exception]]()
    flight.took_off(ILL, submission(ILL))
    flight.took_off(PLAN, submission(PLAN, nonce=1))

    def auditor_of(deployment: str) -> Auditor:
        if deployment == ILL.deployment:
            raise error
        decoders = Decoders(
            liquidations=nobody, flash_fee=nobody, wrapped_native=WETH, recipient=EXECUTOR
        )
        return Auditor(decoders=decoders, value_at=nobody)

    nobody: Any = None
    simulator: Any = AllGoes()
    look = SecondLook(
        simulator=simulator,
        auditor_of=auditor_of,
        on_stuck=lambda intent, met: stuck.append((intent.plan_id, met)),
        overrides={},
        limits=LIMITS,
        block_time_s=12,
    )
    return await look.run(flight.in_order(), HEAD), stuck


@pytest.mark.parametrize("error", [KeyError("reserve"), ConfigError("an unknown revision")])
async def test_what_its_deployment_cannot_read_is_cancelled_and_holds_up_no_other(
    error: Exception,
) -> None:
    found, stuck = await ran(error)
    assert stuck == [(ILL.id, error)]
    assert found[ILL.id] is UNREAD
    assert found[PLAN.id].success
    assert judged(found[ILL.id])[0] is Purpose.CANCEL


@pytest.mark.parametrize("error", [InvariantError("disk"), StaleError("old"), TransientError("")])
async def test_a_broken_promise_and_what_cannot_be_had_are_no_faults_of_one(
    error: Exception,
) -> None:
    with pytest.raises(type(error)):
        await ran(error)


def in_flight(*plans: Plan) -> Flight:
    flight = Flight()
    for nonce, one in enumerate(plans):
        flight.took_off(one, submission(one, nonce=nonce))
    return flight


async def run_again(flight: Flight, node: Node) -> dict[str, Verdict]:
    auditor: Any = SimpleNamespace(decoders=decoders())
    look = SecondLook(
        simulator=node,
        on_stuck=lambda *_: None,
        auditor_of=lambda name: {DEPLOYMENT: auditor}[name],
        overrides={EXECUTOR: StateOverride(code=b"there")},
        limits=LIMITS,
        block_time_s=7,
    )
    return await look.run(flight.in_order(), HEAD)


async def test_liquidations_in_flight_run_again_in_their_order_in_the_block_after_the_head() -> (
    None
):
    gains = {ONE.transaction: 3, TWO.transaction: 0, THREE.transaction: 5}
    node = Node(
        lambda _, one: (
            failed("too late") if one == TWO.transaction else done(PLANS[one], gain=gains[one])
        )
    )
    verdicts = await run_again(in_flight(ONE, TWO, THREE), node)
    assert node.rounds == [[ONE.transaction, TWO.transaction, THREE.transaction]]
    assert node.environment == (HEAD, HEAD.timestamp + 7, next_base_fee(HEAD))
    assert node.overrides == {EXECUTOR: StateOverride(code=b"there")}
    assert verdicts == {
        ONE.id: Verdict(success=True, received=3, gas_used=GAS_USED, error=""),
        TWO.id: Verdict(success=False, received=0, gas_used=50_000, error="too late"),
        THREE.id: Verdict(success=True, received=5, gas_used=GAS_USED, error=""),
    }


async def test_what_is_cancelled_or_unknown_does_not_run_and_moves_no_verdict_to_another() -> None:
    node = Node(lambda _, one: done(PLANS[one]))
    flight = in_flight(ONE, TWO, THREE)
    flight.replaced(replace(submission(ONE), purpose=Purpose.CANCEL))
    unknown = [
        (newest, replace(one, transaction=None) if one.intent.plan_id == TWO.id else one)
        for newest, one in flight.in_order()
    ]
    auditor: Any = SimpleNamespace(decoders=decoders())
    look = SecondLook(
        simulator=node,
        on_stuck=lambda *_: None,
        auditor_of=lambda _: auditor,
        overrides={},
        limits=LIMITS,
        block_time_s=7,
    )
    assert list(await look.run(unknown, HEAD)) == [THREE.id]
    assert node.rounds == [[THREE.transaction]]


async def test_where_nothing_is_left_to_run_no_node_is_asked() -> None:
    node = Node(lambda _, one: done(PLANS[one]))
    flight = in_flight(ONE)
    flight.replaced(replace(submission(ONE), purpose=Purpose.CANCEL))
    assert await run_again(flight, node) == {}
    assert node.rounds == []


FORCED_LIMITS = replace(
    LIMITS, forced={DEPLOYMENT: ForcedLimits(max_loss_per_tx=3 * WORST, max_loss_per_day=5 * WORST)}
)
FORCED = replace(PLAN, forced=True)


@pytest.mark.parametrize(
    ("lost", "others", "most"),
    [
        (0, 0, 3 * WORST),
        (2 * WORST, 0, 3 * WORST),
        (3 * WORST, 0, 2 * WORST),
        (3 * WORST, WORST, WORST),
    ],
)
def test_a_forced_one_stays_at_a_loss_as_far_as_its_budget_goes(
    lost: int, others: int, most: int
) -> None:
    exposed: Any = {
        "forced_lost": {DEPLOYMENT: lost},
        "forced_staked": {DEPLOYMENT: WORST + others},
    }
    found = judged(rerun(received=0), FORCED_LIMITS, of=FORCED, **exposed)
    assert found == (Purpose.LIQUIDATE, most // PLAN.gas_limit)


def test_a_forced_budget_widens_no_other_limit() -> None:
    tight = replace(FORCED_LIMITS, max_gas_per_tx=2 * WORST)
    found = judged(rerun(), tight, of=FORCED, forced_staked={DEPLOYMENT: WORST})
    assert found == (Purpose.LIQUIDATE, 2 * WORST // PLAN.gas_limit)


def test_a_forced_one_is_cancelled_where_it_reverts_or_forced_mode_is_off() -> None:
    assert judged(rerun(success=False), FORCED_LIMITS, of=FORCED)[0] is Purpose.CANCEL
    off = replace(LIMITS, max_gas_per_tx=WORST)
    assert judged(rerun(), off, of=FORCED) == (Purpose.CANCEL, WORST // (MOST_TO_CANCEL))


def test_what_is_left_of_a_forced_budget_is_nothing_to_an_ordinary_one() -> None:
    exposed: Any = {"forced_lost": {DEPLOYMENT: 9 * WORST}}
    assert judged(rerun(), FORCED_LIMITS, **exposed)[0] is Purpose.LIQUIDATE
    assert judged(rerun(), FORCED_LIMITS, **exposed)[1] > 5 * WORST


def test_the_price_that_must_be_paid_for_is_the_blocks_or_its_own_maximum_the_lesser() -> None:
    low = replace(SENT, fees=Fees(max_fee=next_base_fee(HEAD) + 3, priority_fee=GWEI))
    enough = 7 + low.fees.max_fee * USED
    assert judged(rerun(received=enough), sent=low)[0] is Purpose.LIQUIDATE
    assert judged(rerun(received=enough - 1), sent=low)[0] is Purpose.CANCEL


CAPS = {
    "its own profit": (rerun(received=7 + 2 * PRICE * USED), {}, {}, 2 * PRICE),
    "the gas price": (rerun(), {"max_gas_price": 43}, {}, 39),
    "one transaction": (rerun(), {"max_gas_per_tx": 5 * WORST}, {}, 5 * WORST // PLAN.gas_limit),
    "an hour": (
        rerun(),
        {"max_gas_per_hour": 5 * WORST},
        {"spent_hour": WORST, "at_stake": 3 * WORST},
        2 * WORST // PLAN.gas_limit,
    ),
    "a day": (
        rerun(),
        {"max_gas_per_day": 5 * WORST},
        {"spent_day": WORST, "at_stake": 3 * WORST},
        2 * WORST // PLAN.gas_limit,
    ),
    "one transaction of a rich operator": (
        rerun(),
        {"max_gas_per_tx": 5 * WORST},
        {"balance": 99 * WORST, "left_of_totals": 99 * WORST},
        5 * WORST // PLAN.gas_limit,
    ),
    "what data costs more than is left": (
        rerun(),
        {"max_gas_per_tx": WORST},
        {"data": DataCost(wei=2 * WORST)},
        0,
    ),
    "all chains": (rerun(), {}, {"left_of_totals": WORST}, 2 * WORST // PLAN.gas_limit),
    "the balance floor": (
        rerun(),
        {"min_balance": WORST},
        {"balance": 3 * WORST},
        2 * WORST // PLAN.gas_limit,
    ),
    "a floor that is passed": (
        rerun(),
        {"min_balance": WORST},
        {"balance": WORST},
        WORST // PLAN.gas_limit,
    ),
    "data": (
        rerun(),
        {"max_gas_per_tx": 5 * WORST},
        {"data": DataCost(wei=WORST)},
        4 * WORST // PLAN.gas_limit,
    ),
}


@pytest.mark.parametrize("what", CAPS)
def test_a_rung_ends_where_a_limit_does(what: str) -> None:
    verdict, limits, exposed, most = CAPS[what]
    changed: Any = limits
    told: Any = exposed
    assert judged(verdict, replace(LIMITS, **changed), **told) == (Purpose.LIQUIDATE, most)


def test_a_cancellation_is_held_to_the_limits_with_its_own_gas() -> None:
    tight = replace(LIMITS, max_gas_per_tx=WORST)
    assert judged(None, tight) == (Purpose.CANCEL, WORST // (MOST_TO_CANCEL))
    spent = replace(LIMITS, max_gas_per_hour=WORST)
    found = judged(None, spent, spent_hour=WORST, at_stake=WORST)
    assert found == (Purpose.CANCEL, WORST // MOST_TO_CANCEL), "what it may cost as it is"
