"""Two protocols on one chain: what befalls one does not stop the other."""

import asyncio
from pathlib import Path

from prometheus_client import CollectorRegistry

from keeper.app.board import Board
from keeper.app.deployment import Deployment
from keeper.app.session import keeper_session
from keeper.app.status import Status
from keeper.config.settings import load
from keeper.core.chain import BlockRef
from keeper.core.lending import Reason
from keeper.core.values import replace
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.morpho import build_morpho, liquidatable
from keeper.devnet.morpho_specs import loan_of
from keeper.devnet.stage_aave_v3 import aave_file
from keeper.devnet.stage_morpho_blue import morpho_file
from keeper.runtime.clock import SystemClock
from keeper.telemetry.tallies import Tallies
from tests.support.fault_desk import keeper_desk
from tests.support.fault_proxy import FaultProxy
from tests.support.market_node import MarketNode
from tests.support.proxy_faults import Delay

PLACE = 3
"""Of the market of ether against dollars that has no early liquidation."""
NEAR = [loan_of(PLACE, 50_000, 10_400 + 20 * number) for number in range(6)]
"""Loans that the fall takes under."""


def tampered(deployment: Deployment) -> None:
    """Let a mirror say something else than the chain of one account."""
    snapshot = deployment.mirror.snapshot
    ref, position = next(
        (ref, one) for ref, one in sorted(snapshot.positions.items()) if one.shares
    )
    wrong = {ref: replace(position, shares=position.shares + 1)}
    held = snapshot.positions.with_changes(wrong)
    deployment.mirror._snapshot = replace(snapshot, positions=held)


class FirstMirrored(Board):
    """Keeps the node from answering once the first deployment is read; its clock is a test's."""

    def __init__(self, tallies: Tallies, proxy: FaultProxy) -> None:
        self.time = 0.0
        super().__init__(tallies, now=lambda: self.time)
        self.proxy = proxy
        self.is_held = asyncio.Event()

    def mirrored(self, deployment: str, block: BlockRef, accounts: int) -> None:
        super().mirrored(deployment, block, accounts)
        if not self.is_held.is_set():
            self.proxy.spoil(Delay(seconds=1.0), count=1)
            self.is_held.set()


async def test_a_deployment_that_waits_for_another_to_be_read_is_healthy(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    local = build_morpho(market.live, seed=5, borrowers=len(NEAR), loans=NEAR)
    files = (aave_file(market.market), morpho_file(local))
    wanted = KeeperFiles(
        rpc=proxy.ws_url, mode="observe", executor=None, recipient=None, deployments=files
    )
    settings = load(write_config(tmp_path, market.market, wanted))
    tallies, stop = Tallies(CollectorRegistry()), asyncio.Event()
    board = FirstMirrored(tallies, proxy)
    async with keeper_session(settings, board) as session, asyncio.TaskGroup() as group:
        status = Status(settings, session, board, tallies, SystemClock(), halt=session.keeper.halt)
        group.create_task(session.keeper.run(session.head, stop))
        await board.is_held.wait()
        board.time += 10 * settings.chain.max_head_age_s
        assert not session.keeper.watching.is_set()
        assert status.unready() == ["starting: the mirrors are being filled"]
        await session.keeper.watching.wait()
        assert status.stalled() == []
        board.time += settings.chain.max_head_age_s + 1
        assert len(status.stalled()) == len(files)
        stop.set()


async def test_a_market_that_drifts_does_not_stop_another_of_its_chain(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    local = build_morpho(market.live, seed=5, borrowers=len(NEAR), loans=NEAR)
    isolated = local.markets[PLACE].id
    audit = {"audit": {"sample": 500, "every_blocks": 1}}
    files = (aave_file(market.market), morpho_file(local))
    async with keeper_desk(tmp_path, market, [proxy.ws_url], root=audit, deployments=files) as desk:
        (ill,) = [d for d in desk.session.keeper.deployments if d.name.startswith("morpho")]
        tampered(ill)
        desk.mine()
        await desk.until(lambda: bool(desk.ears.pauses), mining=True)
        desk.fall()
        await desk.until(lambda: bool(barred(desk, isolated)), mining=True)
        await desk.settle_landed()
        assert set(liquidatable(local)) == {account for account, _ in local.borrowers}
        assert [plan for plan, _ in desk.ears.sent_plans if plan.ref.market == isolated] == []
        assert desk.ears.broken == []


def barred(desk, market):
    rejections = desk.ears.rejections
    return [r for r in rejections if (r.reason, r.ref.market) == (Reason.MARKET_PAUSED, market)]
