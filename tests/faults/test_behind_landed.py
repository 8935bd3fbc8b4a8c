"""Whoever comes under the line as others land is planned on the market as those leave it, once."""

from pathlib import Path

from keeper.core.lending import Reason
from keeper.devnet.morpho import build_morpho
from keeper.devnet.stage_morpho_blue import morpho_file
from tests.support.fault_desk import keeper_desk
from tests.support.fault_proxy import FaultProxy
from tests.support.market_node import MarketNode

FALLS = (9_600, 9_200, 8_900, 8_600, 8_300)


async def test_the_block_in_which_some_land_does_not_hold_up_the_others(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    local = build_morpho(market.live, seed=5, borrowers=100)
    files = (morpho_file(local),)
    async with keeper_desk(tmp_path, market, [proxy.ws_url], deployments=files) as desk:
        for bps in FALLS:
            desk.fall(bps)
            await desk.until(lambda: bool(desk.session.keeper.in_flight), mining=True)
            await desk.settle()
        landed, said = desk.ears.landed(), desk.ears.rejections
        assert len(landed) == len(desk.ears.sent_plans) >= len(FALLS)
        assert {one.reason for one in said} <= {Reason.BELOW_MIN_PROFIT, Reason.IN_FLIGHT}
        assert desk.ears.skips == []
