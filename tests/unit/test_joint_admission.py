"""Plans that are taken out after their rehearsal leave those behind them as they are without them.

The executor is disarmed: what it shows is what it would send.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from keeper.core.chain import Simulated, Transaction
from keeper.core.joint import Joint
from keeper.core.lending import Reason, Rejection
from keeper.core.plan import Plan, Status
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.executor.policy import Limits
from keeper.executor.totals import TotalLimits, Totals
from keeper.executor.verdicts import Report
from tests.support.disarmed import LIMITS, disarmed
from tests.support.ledger_records import HandClock, ended, opened, submission
from tests.support.rehearsal_node import (
    FUTURE,
    GAS_USED,
    HEAD,
    ONE,
    PLANS,
    THREE,
    TWO,
    Answer,
    Node,
    decoders,
    done,
    failed,
)

ACCRUAL = 90_000
"""Gas that whoever comes first pays for all."""


def poor(who: Plan) -> Answer:
    """Let one earn less than is asked for; the first in the block pays for an accrual."""

    def answer(before: Sequence[Transaction], one: Transaction) -> Simulated:
        gain = WAD // 2 if one == who.transaction else 9 * WAD
        return done(PLANS[one], gain=gain, gas=GAS_USED + (0 if before else ACCRUAL))

    return answer


def remaking(*made: tuple[Plan, Plan]) -> tuple[list[list[Plan]], Callable[..., object]]:
    """Return what was to be made again, and a ``Remake`` that replaces plans when it is asked."""
    asked: list[list[Plan]] = []

    def remake(plans: Sequence[Plan]) -> tuple[list[Plan], list[Rejection]]:
        asked.append(list(plans))
        anew = {old.id: new for old, new in made}
        return [anew.get(plan.id, plan) for plan in plans], []

    return asked, remake


async def carried_out(
    folder: Path,
    joint: Joint,
    node: Node,
    *,
    limits: Limits = LIMITS,
    totals: TotalLimits | None = None,
) -> Report:
    clock, journal = HandClock(), await opened(folder)
    share = None if totals is None else Totals(totals, now=clock.now).share("local")
    executor = disarmed(journal, clock, node, limits=limits, share=share)
    report = await executor.carry_out(joint, HEAD, FUTURE, decoders(), lambda *_: None)
    await journal.close()
    if share is not None:
        assert share.in_flight == 0
    return report


def ids(plans: Sequence[Plan]) -> list[str]:
    return [one.id for one in plans]


async def test_whoever_stood_behind_one_that_policy_took_out_is_rehearsed_without_it(
    tmp_path: Path,
) -> None:
    node = Node(poor(ONE))
    report = await carried_out(tmp_path, Joint(plans=[ONE, TWO, THREE]), node)
    assert ids(report.shown) == [TWO.id, THREE.id]
    assert [no.reason for no in report.rejected] == [Reason.BELOW_MIN_PROFIT]
    first, second = report.shown
    price = second.forecast.gas // GAS_USED
    assert first.forecast.gas == (GAS_USED + ACCRUAL) * price
    assert node.rounds[-1] == [TWO.transaction, THREE.transaction]


async def test_nobody_is_rehearsed_again_for_one_that_stood_last(tmp_path: Path) -> None:
    node = Node(poor(THREE))
    asked, remake = remaking()
    joint = Joint(plans=[ONE, TWO, THREE], remake=remake)  # type: ignore[arg-type]
    report = await carried_out(tmp_path, joint, node)
    assert ids(report.shown) == [ONE.id, TWO.id]
    assert (len(node.rounds), asked) == (1, [])


async def test_what_is_made_anew_is_what_is_shown(tmp_path: Path) -> None:
    anew = replace(THREE, transaction=replace(THREE.transaction, data=b"anew"))

    def answer(before: Sequence[Transaction], one: Transaction) -> Simulated:
        if one == anew.transaction:
            return failed("too early") if ONE.transaction in before else done(THREE)
        return poor(ONE)(before, one)

    asked, remake = remaking((THREE, anew))
    joint = Joint(plans=[ONE, TWO, THREE], remake=remake)  # type: ignore[arg-type]
    report = await carried_out(tmp_path, joint, Node(answer))
    assert [one.transaction for one in report.shown] == [TWO.transaction, anew.transaction]
    assert [ids(plans) for plans in asked] == [[TWO.id, THREE.id]]


async def test_one_refused_before_the_rehearsal_leaves_plans_made_without_it(
    tmp_path: Path,
) -> None:
    dear = replace(ONE, gas_limit=10**12)
    asked, remake = remaking()
    joint = Joint(plans=[dear, TWO, THREE], remake=remake)  # type: ignore[arg-type]
    node = Node(poor(ONE))
    report = await carried_out(tmp_path, joint, node)
    assert ids(report.shown) == [TWO.id, THREE.id]
    assert [ids(plans) for plans in asked] == [[TWO.id, THREE.id]]
    assert len(node.rounds) == 1


@pytest.mark.parametrize("room", [1, 2])
async def test_the_budgets_over_all_chains_are_kept_for_what_is_shown_alone(
    tmp_path: Path, room: int
) -> None:
    """Those beyond the room come last: nobody stands behind them."""
    node = Node(poor(ONE))
    totals = TotalLimits(max_in_flight=room)
    report = await carried_out(tmp_path, Joint(plans=[ONE, TWO, THREE]), node, totals=totals)
    assert ids(report.shown) == [TWO.id, THREE.id][:room]
    assert len(report.rejected) == 3 - room


async def test_a_plan_that_was_tried_while_it_waited_its_turn_waits_for_the_next_block(
    tmp_path: Path,
) -> None:
    clock, journal = HandClock(), await opened(tmp_path)
    executor = disarmed(journal, clock, Node(lambda _, one: done(PLANS[one])))
    async with executor._turn:
        joint = Joint(plans=[ONE, TWO])
        waiting = asyncio.ensure_future(
            executor.carry_out(joint, HEAD, FUTURE, decoders(), lambda *_: None)
        )
        await executor.exposure(HEAD)
        await journal.seal([(ONE, submission(ONE))])
        await journal.settle(ended(ONE, Status.DROPPED))
    report = await waiting
    await journal.close()
    assert ids(report.shown) == [TWO.id]
    assert [(no.ref, no.reason) for no in report.rejected] == [(ONE.ref, Reason.BACKING_OFF)]
