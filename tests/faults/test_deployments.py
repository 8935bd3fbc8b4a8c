"""Two protocols on one chain: what befalls one does not stop the other."""

from pathlib import Path

from keeper.app.deployment import Deployment
from keeper.core.lending import Reason
from keeper.core.values import replace
from keeper.devnet.morpho import build_morpho, liquidatable
from keeper.devnet.morpho_specs import loan_of
from keeper.devnet.stage_aave_v3 import aave_file
from keeper.devnet.stage_morpho_blue import morpho_file
from tests.support.fault_desk import keeper_desk
from tests.support.fault_proxy import FaultProxy
from tests.support.market_node import MarketNode

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
