"""What is being sent is in flight, and counts once in the budgets over all chains."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from keeper.core.joint import Joint
from keeper.executor.armament import Armament
from keeper.executor.desks import Desks
from keeper.executor.executor import Executor
from keeper.executor.flight import Flight
from keeper.executor.lanes.mempool import MempoolLane
from keeper.executor.nonce import NonceKeeper
from keeper.executor.signing import SigningDesk
from keeper.executor.totals import TotalLimits
from tests.support.fake_wire import FakeWire
from tests.support.ledger_records import opened
from tests.support.shared_totals import PLAN, never, two_chains
from tests.support.signed_plans import SIGNER
from tests.unit.test_halt_meanwhile import made


@dataclass
class Slow(FakeWire):
    """A node that takes what it is sent, and answers when a test lets it."""

    taken: asyncio.Event = field(default_factory=asyncio.Event)
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    def post_raw(self, raw: bytes) -> Awaitable[Any] | None:
        async def sent() -> Any:
            self.taken.set()
            await self.answers.wait()
            return await self.send_raw(raw)

        return sent()


async def test_another_chain_may_send_while_one_waits_for_its_node(tmp_path: Path) -> None:
    _, one, other = two_chains(TotalLimits(max_in_flight=3))
    journal, wire, flight, both = await opened(tmp_path), Slow(used=5), Flight(), [made(1), made(2)]
    one.opened(flight, never)
    nonces = NonceKeeper(wire, SIGNER.address)
    desks = Desks([SigningDesk(chain_id=31337, signer=SIGNER, wire=wire, nonces=nonces)])
    armament = Armament(desks=desks, lane=MempoolLane(wire), tenders=())
    grounds: Any = SimpleNamespace(
        batches=None, simulator=None, reader=None, overrides={}, share=one
    )
    standing: Any = SimpleNamespace(halted=None)
    executor = Executor(
        grounds, journal=journal, flight=flight, standing=standing, armament=armament
    )
    assert one.admit(both)[0] == both
    out = await executor._finish(both, Joint(plans=both), None)
    sending = asyncio.create_task(executor._answered(out, lambda *_: None))
    await wire.taken.wait()
    assert one.in_flight == 2
    assert other.admit([PLAN])[0] == [PLAN]
    wire.answers.set()
    await sending
    assert one.in_flight == 2
    await journal.close()
