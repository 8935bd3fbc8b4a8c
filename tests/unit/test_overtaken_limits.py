"""Limits that others reach while a plan waits for its signature."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from keeper.core.chain import Simulated, Transaction
from keeper.core.joint import Joint
from keeper.core.lending import Reason
from keeper.core.plan import Plan
from keeper.core.values import replace
from keeper.executor.armament import Armament
from keeper.executor.desks import Desks
from keeper.executor.executor import Executor
from keeper.executor.lanes.mempool import MempoolLane
from keeper.executor.nonce import NonceKeeper
from keeper.executor.signing import SigningDesk
from keeper.executor.verdicts import Report
from tests.support.disarmed import LIMITS, disarmed
from tests.support.fake_wire import FakeWire
from tests.support.ledger_records import HandClock, opened, plan, submission
from tests.support.rehearsal_node import FUTURE, HEAD, Node, decoders, done
from tests.support.signed_plans import SIGNER


def ours(number: int) -> Plan:
    one, data = plan(number), bytes([number])
    return replace(one, transaction=replace(one.transaction, sender=SIGNER.address, data=data))


ALL = [ours(1), ours(2), ours(3)]
"""In the order in which they are rehearsed."""


def armed(executor: Executor, wire: FakeWire) -> None:
    nonces = NonceKeeper(wire, SIGNER.address)
    desks = Desks([SigningDesk(chain_id=31337, signer=SIGNER, wire=wire, nonces=nonces)])
    executor._armament = Armament(desks=desks, lane=MempoolLane(wire), tenders=())


async def sent_after(folder: Path, others: int, most: int) -> tuple[Report, list[Plan]]:
    """Return what becomes of all when ``others`` take off before they may be signed."""
    plans, told = {one.transaction: one for one in ALL}, list[Plan]()
    rehearsed, wire = asyncio.Event(), FakeWire()

    def answer(_before: Sequence[Transaction], one: Transaction) -> Simulated:
        rehearsed.set()
        return done(plans[one])

    journal = await opened(folder)
    limits = replace(LIMITS, max_in_flight=most)
    executor = disarmed(journal, HandClock(), Node(answer), limits=limits)
    armed(executor, wire)
    going = executor.carry_out(
        Joint(plans=ALL), HEAD, FUTURE, decoders(), lambda one, _: told.append(one)
    )
    async with executor.flight.numbered():
        ending = asyncio.ensure_future(going)
        await asyncio.wait_for(rehearsed.wait(), 10)
        for number in range(4, 4 + others):
            executor.flight.took_off(plan(number), submission(plan(number), nonce=number))
    report = await ending
    await journal.close()
    assert len(wire.sent) == len(report.sent)
    return report, told


@pytest.mark.parametrize(("others", "sent"), [(0, 3), (1, 3), (2, 2), (3, 1), (4, 0)])
async def test_what_others_sent_meanwhile_leaves_room_for_the_first_alone(
    tmp_path: Path, others: int, sent: int
) -> None:
    report, told = await sent_after(tmp_path, others, most=4)
    assert [one.id for one in told] == [one.id for one in ALL[:sent]]
    assert [one.ref for one in report.rejected] == [one.ref for one in ALL[sent:]]
    assert {one.reason for one in report.rejected} <= {Reason.POLICY}
