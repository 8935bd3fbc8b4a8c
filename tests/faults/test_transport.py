"""The node's answers fail: stalls, drops, rubbish, limits. Scenarios 1 to 3, 10 and 12 to 14."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from keeper.app.board import Board
from keeper.app.status import Status
from keeper.chain.trouble import Trouble
from keeper.runtime.clock import SystemClock
from keeper.telemetry.tallies import Tallies
from tests.support.fault_desk import Desk, keeper_desk
from tests.support.fault_proxy import (
    HTML,
    Body,
    Cut,
    Drop,
    Fault,
    FaultProxy,
    Refuse,
    Stall,
    WrongId,
)
from tests.support.market_node import MarketNode

Two = tuple[FaultProxy, FaultProxy]

BUSY = Body(text="slow down", status=429, headers={"Retry-After": "1"})
LIMIT = Refuse(code=-32005, message="limit exceeded", data={"rate": {"backoff_seconds": 1}})


def measured(desk: Desk) -> str:
    """Return what ``/metrics`` would show."""
    registry, clock = CollectorRegistry(), SystemClock()
    tallies = Tallies(registry)
    board = Board(tallies, now=clock.monotonic)
    Status(desk.settings, desk.session, board, tallies, clock, halt=print).measure()
    return generate_latest(registry).decode()


@pytest.mark.parametrize(
    "fault",
    [Stall(), Drop(), HTML, Cut(), WrongId(), BUSY, LIMIT],
    ids=["stall", "drop", "html", "cut", "wrong_id", "429", "-32005"],
)
async def test_01_12_13_another_node_takes_over_and_the_crash_is_liquidated(
    market: MarketNode, tmp_path: Path, proxies: Two, fault: Fault
) -> None:
    first, second = proxies
    async with keeper_desk(tmp_path, market, [first.url, second.url]) as desk:
        first.spoil(fault)
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        assert desk.session.chain.rpc.name == second.url
        assert f'keeper_node_active{{node="{second.url}"}} 1.0' in measured(desk)
        await desk.settle_landed()
        first.heal()
        await desk.require_cold_start()
        desk.require_invariants()
    assert len(desk.told(Trouble.SWITCHED)) >= 1
    assert len(first.sent + second.sent) == len(set(first.sent + second.sent))
