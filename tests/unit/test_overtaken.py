"""A head that comes between rehearsal and sending: what is to be sent is rehearsed there too.

The executor is disarmed: what it shows is what it would send.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from keeper.core.chain import BlockRef, Simulated, Transaction, next_base_fee
from keeper.core.joint import Joint
from keeper.core.lending import Liquidation, Reason
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.executor.executor import Executor
from keeper.executor.verdicts import Report
from tests.support.disarmed import disarmed
from tests.support.ledger_records import HandClock, block, opened
from tests.support.rehearsal_node import (
    FUTURE,
    HEAD,
    ONE,
    PLANS,
    THREE,
    TWO,
    Node,
    decoders,
    done,
    failed,
)

NEXT = block(101)
ASIDE = replace(HEAD, hash=block(900).hash)
"""Of the same height as the head: a reorg."""


class Overtaken(Node):
    """A node that tells of a newer head while it rehearses for the first time."""

    def __init__(self, came: BlockRef, then: Callable[[Transaction], Simulated]) -> None:
        self.executor: Executor | None = None
        self._came = came
        self._then = then
        super().__init__(self._answer)

    def _answer(self, _: Sequence[Transaction], one: Transaction) -> Simulated:
        assert self.executor is not None
        self.executor.head_seen(self._came)
        if self.environment is not None and self.environment[0] != self._came:
            return done(PLANS[one])
        return self._then(one)


async def carried_out(folder: Path, node: Overtaken, *, off_by: int = 0) -> Report:
    clock, journal = HandClock(), await opened(folder)
    executor = node.executor = disarmed(journal, clock, node)
    executor.head_seen(HEAD)

    def change(one: Liquidation) -> Liquidation:
        is_later = node.environment is not None and node.environment[0] != HEAD
        return replace(one, seized=one.seized + off_by) if is_later else one

    joint = Joint(plans=[ONE, TWO, THREE])
    report = await executor.carry_out(joint, HEAD, FUTURE, decoders(change=change), lambda *_: None)
    await journal.close()
    return report


async def test_what_is_sent_was_rehearsed_on_the_head_that_came_since(tmp_path: Path) -> None:
    node = Overtaken(NEXT, lambda one: done(PLANS[one], gain=7 * WAD))
    report = await carried_out(tmp_path, node)
    assert [one.id for one in report.shown] == [ONE.id, TWO.id, THREE.id]
    later = NEXT.timestamp + FUTURE - HEAD.timestamp
    assert node.environment == (NEXT, later, next_base_fee(NEXT))
    assert len(node.rounds) == 2
    assert [one.forecast.net + one.forecast.gas for one in report.shown] == [7 * WAD] * 3


async def test_what_fails_on_the_head_that_came_since_is_not_sent(tmp_path: Path) -> None:
    node = Overtaken(NEXT, lambda one: failed("0x") if one == TWO.transaction else done(PLANS[one]))
    report = await carried_out(tmp_path, node)
    assert [one.id for one in report.shown] == [ONE.id, THREE.id]
    assert [(no.ref, no.reason) for no in report.rejected] == [(TWO.ref, Reason.SIMULATION_FAILED)]


async def test_what_does_not_pay_on_the_head_that_came_since_is_not_sent(tmp_path: Path) -> None:
    node = Overtaken(
        NEXT, lambda one: done(PLANS[one], gain=1 if one == THREE.transaction else 9 * WAD)
    )
    report = await carried_out(tmp_path, node)
    assert [one.id for one in report.shown] == [ONE.id, TWO.id]
    assert [(no.ref, no.reason) for no in report.rejected] == [(THREE.ref, Reason.BELOW_MIN_PROFIT)]


async def test_a_later_blocks_interest_is_no_reason_not_to_send(tmp_path: Path) -> None:
    node = Overtaken(NEXT, lambda one: done(PLANS[one]))
    report = await carried_out(tmp_path, node, off_by=1)
    assert [one.id for one in report.shown] == [ONE.id, TWO.id, THREE.id]


async def test_a_reorg_of_the_same_height_is_a_newer_head(tmp_path: Path) -> None:
    node = Overtaken(ASIDE, lambda _: failed("0x"))
    report = await carried_out(tmp_path, node)
    assert report.shown == ()
    assert {no.reason for no in report.rejected} == {Reason.SIMULATION_FAILED}


async def test_nothing_is_rehearsed_twice_on_the_same_head(tmp_path: Path) -> None:
    node = Overtaken(HEAD, lambda one: done(PLANS[one]))
    await carried_out(tmp_path, node)
    assert len(node.rounds) == 1
