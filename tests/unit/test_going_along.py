"""Who pays only with others goes along with those that are sent, and with nobody else."""

from collections.abc import Sequence
from pathlib import Path

from keeper.core.joint import Addition, Joint
from keeper.core.lending import AccountRef, Reason, Rejection
from keeper.core.plan import Plan
from keeper.core.units import BPS
from keeper.core.values import replace
from keeper.executor.dividing import equal_parts
from keeper.executor.policy import BatchRules, Limits
from keeper.executor.verdicts import Report
from tests.support.batch_records import (
    ACCOUNTS,
    ALL,
    ALONE_GAS,
    GAINS,
    PRICE,
    TOGETHER_GAS,
    Merging,
    answering,
    decoders,
    gas_of,
)
from tests.support.disarmed import LIMITS, disarmed
from tests.support.ledger_records import HandClock, opened
from tests.support.rehearsal_node import FUTURE, HEAD, ONE, THREE, TWO, Node


def addition(plan: Plan, *, gas: int = ALONE_GAS) -> Addition:
    """Return a plan that lacks a wei alone, for so much gas."""
    net = plan.forecast.net - gas * PRICE
    alone = Rejection(
        ref=plan.ref,
        block=plan.opportunity.block.number,
        reason=Reason.BELOW_MIN_PROFIT,
        detail="needs 1 more wei",
        net_wei=net,
    )
    return Addition(plan=plan, alone=alone)


async def along(
    folder: Path,
    node: Node,
    *,
    rules: BatchRules = ALL,
    limits: Limits = LIMITS,
    merging: Merging | None = None,
    plans: Sequence[Plan] = (ONE,),
    additions: Sequence[Plan] = (TWO, THREE),
) -> Report:
    clock, journal = HandClock(), await opened(folder)
    executor = disarmed(journal, clock, node, limits=limits, batches=rules)
    joint = Joint(
        plans=plans,
        merging=merging or Merging(),
        additions=[addition(one) for one in additions],
    )
    report = await executor.carry_out(joint, HEAD, FUTURE, decoders(), lambda *_: None)
    await journal.close()
    return report


def left(report: Report) -> list[tuple[AccountRef, Reason]]:
    assert all(
        "needs 1 more wei; pays only with others, and " in one.detail for one in report.rejected
    )
    return [(one.ref, one.reason) for one in report.rejected]


async def test_who_pays_only_with_others_goes_along_with_those_that_are_sent(
    tmp_path: Path,
) -> None:
    node = Node(answering())
    report = await along(tmp_path, node)
    assert [one.id for one in report.shown] == [one.id for one in ACCOUNTS]
    assert gas_of(report) == equal_parts(TOGETHER_GAS * PRICE, 3)
    assert report.rejected == ()
    assert [len(one) for one in node.rounds] == [1, 1], "nobody ran alone who would not pay"


async def test_the_last_of_those_that_would_go_along_stays_when_the_whole_does_not_hold(
    tmp_path: Path,
) -> None:
    report = await along(tmp_path, Node(answering(broken=ACCOUNTS)))
    assert [one.id for one in report.shown] == [ONE.id, TWO.id]
    assert left(report) == [(THREE.ref, Reason.BELOW_MIN_PROFIT)]


async def test_who_does_not_keep_the_least_net_in_the_whole_is_refused_as_alone(
    tmp_path: Path,
) -> None:
    """Of three none has as much left: of two both do."""
    part = equal_parts(TOGETHER_GAS * PRICE, 3)[-1]
    limits = replace(LIMITS, min_profit=GAINS[-1] - part + 1)
    report = await along(tmp_path, Node(answering()), limits=limits)
    assert [one.id for one in report.shown] == [ONE.id, TWO.id]
    assert left(report) == [(THREE.ref, Reason.BELOW_MIN_PROFIT)]


async def test_who_adds_more_gas_than_it_brings_stays(tmp_path: Path) -> None:
    report = await along(
        tmp_path,
        Node(answering(together=ALONE_GAS + GAINS[1] // PRICE + 1)),
        limits=replace(
            LIMITS,
            min_profit=-(10**30),
            max_gas_per_tx=10**40,
            max_gas_per_hour=10**40,
            max_gas_per_day=10**40,
        ),
        additions=[TWO],
    )
    assert [one.id for one in report.shown] == [ONE.id]
    assert left(report) == [(TWO.ref, Reason.BELOW_MIN_PROFIT)]


async def test_nobody_goes_along_with_nobody_or_with_one_that_takes_no_others(
    tmp_path: Path,
) -> None:
    nobody = await along(tmp_path, Node(answering()), plans=())
    assert (nobody.shown, len(left(nobody))) == ((), 2)
    merging = Merging(alone=frozenset({ONE.id}))
    alone = await along(tmp_path / "next", Node(answering()), merging=merging)
    assert [one.id for one in alone.shown] == [ONE.id]
    assert len(left(alone)) == len(ACCOUNTS) - 1
    off = await along(tmp_path / "off", Node(answering()), rules=BatchRules())
    assert ([one.id for one in off.shown], len(left(off))) == ([ONE.id], 2)


async def test_no_more_go_along_than_the_operator_wants_in_one_transaction(tmp_path: Path) -> None:
    report = await along(tmp_path, Node(answering()), rules=BatchRules(most=2))
    assert [one.id for one in report.shown] == [ONE.id, TWO.id]
    assert left(report) == [(THREE.ref, Reason.BELOW_MIN_PROFIT)]


async def test_who_goes_along_puts_no_more_at_risk_than_it_gains(tmp_path: Path) -> None:
    report = await along(tmp_path, Node(answering()), rules=BatchRules(most=10, risk_bps=BPS))
    assert [one.id for one in report.shown] == [ONE.id]
    assert len(left(report)) == len(ACCOUNTS) - 1


def test_who_may_not_go_on_goes_along_with_nobody_either() -> None:
    remade: list[Sequence[Plan]] = []

    def remake(plans: Sequence[Plan]) -> tuple[list[Plan], list[Rejection]]:
        remade.append(plans)
        return list(plans), []

    joint = Joint(plans=(ONE, TWO), remake=remake, additions=[addition(THREE)])
    assert joint.everybody == ACCOUNTS
    whole, gone = joint.among(ACCOUNTS)
    assert (list(whole.plans), whole.additions, gone, remade) == (
        [ONE, TWO],
        joint.additions,
        [],
        [],
    )
    less, _ = joint.among((TWO,))
    assert (list(less.plans), less.additions, remade) == ([TWO], [], [[TWO]])
