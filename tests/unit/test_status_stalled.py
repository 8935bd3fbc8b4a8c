"""When a keeper is said to stand still."""

import asyncio
from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry

from keeper.app.board import Board
from keeper.app.status import Status
from keeper.executor.flight import Flight
from keeper.runtime.clock import SystemClock
from keeper.telemetry.tallies import Tallies
from tests.support.eventually import PATIENCE_S
from tests.support.ledger_records import block
from tests.unit.test_keeper_run import Deployed, keeper_of


async def test_who_asks_late_for_the_first_time_is_told_that_no_block_came() -> None:
    deployed, time, stop = Deployed(Flight()), [0.0], asyncio.Event()
    deployed.may_start.set()
    keeper, tallies = keeper_of(deployed, drain_s=0.1), Tallies(CollectorRegistry())
    board = Board(tallies, now=lambda: time[0])
    board.mirrored(deployed.name, block(1), 1)
    time[0] = 1_000.0  # another deployment was read meanwhile
    settings: Any = SimpleNamespace(chain=SimpleNamespace(max_head_age_s=60))
    nodes = [SimpleNamespace(name="a", trouble="")]
    session: Any = SimpleNamespace(keeper=keeper, chain=SimpleNamespace(nodes=lambda: nodes))
    status = Status(settings, session, board, tallies, SystemClock(), halt=keeper.halt)
    running = asyncio.ensure_future(keeper.run(block(1), stop))
    await asyncio.wait_for(keeper.watching.wait(), PATIENCE_S)
    time[0] += 61
    assert status.stalled() == ["one: no block was mirrored for 61 s"]
    time[0] -= 1
    assert status.stalled() == []
    stop.set()
    await asyncio.wait_for(running, PATIENCE_S)
