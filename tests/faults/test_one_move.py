"""Ten loans of Morpho Blue go under the line by one price move, and all end in the next block."""

from pathlib import Path

from keeper.devnet.morpho import build_morpho, liquidatable
from keeper.devnet.morpho_specs import loan_of
from keeper.devnet.stage_morpho_blue import morpho_file
from tests.support.fault_desk import keeper_desk
from tests.support.fault_proxy import FaultProxy
from tests.support.market_node import MarketNode

PLACE = 3
"""Of the market of ether against dollars that has no early liquidation."""
LOANS = [loan_of(PLACE, 20_000, 10_400 + 20 * number) for number in range(10)]


async def test_ten_loans_that_one_price_move_opens_land_in_the_next_block(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    local = build_morpho(market.live, seed=5, borrowers=len(LOANS), loans=LOANS)
    files = (morpho_file(local),)
    async with keeper_desk(tmp_path, market, [proxy.ws_url], deployments=files) as desk:
        assert liquidatable(local) == []
        moved = desk.fall(9_300)
        assert len(liquidatable(local)) == len(LOANS)
        await desk.until(lambda: len(desk.ears.sent_plans) == len(LOANS))
        desk.mine()
        await desk.settle()
        landed = desk.ears.landed()
        assert [one.block for one in landed] == [moved + 1] * len(LOANS)
        assert liquidatable(local) == []
        forecasts = {plan.id: plan.forecast for plan, _ in desk.ears.sent_plans}
        assert {one.plan_id: one.realised for one in landed} == forecasts
        assert desk.ears.broken == []
