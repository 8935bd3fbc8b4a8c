"""What is in flight is run again, in its order, and what that tells."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.core.chain import Simulated, StateOverride, Transaction, next_base_fee
from keeper.core.errors import (
    ConfigError,
    InvariantError,
    RefusedError,
    StaleError,
    TransientError,
)
from keeper.core.plan import Plan, Purpose
from keeper.core.values import replace
from keeper.executor.dividing import Decoders
from keeper.executor.flight import Flight
from keeper.executor.second_look import UNREAD, SecondLook, Verdict
from keeper.executor.settler import Auditor
from tests.support.judged_overdue import HEAD, LIMITS, PLAN, USED, judged
from tests.support.ledger_records import DEPLOYMENT, EXECUTOR, WETH, plan, submission
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

ILL = plan(2, deployment="aave_v3.ill")


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


@pytest.mark.parametrize("eater", [ONE, TWO, THREE])
async def test_one_that_takes_all_the_gas_by_now_is_known_by_itself(eater: Plan) -> None:
    """As geth has it: of a block in which others come after it nothing is told."""

    def answer(before: Sequence[Transaction], one: Transaction) -> Simulated:
        if eater.transaction in before:
            raise RefusedError("gas limit reached")
        return failed("out of gas") if one == eater.transaction else done(PLANS[one])

    verdicts = await run_again(in_flight(ONE, TWO, THREE), Node(answer))
    assert {key for key, one in verdicts.items() if not one.success} == {eater.id}
    assert verdicts[eater.id].error == "out of gas"


async def test_what_does_not_fit_behind_the_others_is_run_alone() -> None:
    def answer(before: Sequence[Transaction], one: Transaction) -> Simulated:
        if len(before) > 1:
            raise RefusedError("gas limit reached")
        return done(PLANS[one])

    verdicts = await run_again(in_flight(ONE, TWO, THREE), Node(answer))
    assert all(one.success for one in verdicts.values())


async def test_a_node_that_tells_of_none_is_no_verdict() -> None:
    def answer(_before: Sequence[Transaction], _one: Transaction) -> Simulated:
        raise RefusedError("no such method")

    with pytest.raises(RefusedError, match="no such method"):
        await run_again(in_flight(ONE, TWO), Node(answer))
