"""Loans of Morpho Blue go under the line by one price move, and all end in the next block."""

from pathlib import Path

import pytest

from keeper.devnet.morpho import build_morpho, liquidatable
from keeper.devnet.morpho_specs import loan_of
from keeper.devnet.stage_morpho_blue import morpho_file
from tests.support.fault_desk import keeper_desk
from tests.support.fault_proxy import FaultProxy
from tests.support.market_node import MarketNode

PLACE = 3
"""Of the market of ether against dollars that has no early liquidation."""
DOLLARS = 200_000
"""Of all collateral: the local exchange takes it whole."""
ROOM_FOR_ALL = hex(400_000_000)
"""Gas of a block."""


@pytest.mark.parametrize("many", [10, 200])
async def test_all_loans_that_one_price_move_opens_land_in_the_next_block(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy, many: int
) -> None:
    loans = [loan_of(PLACE, DOLLARS // many, 10_400 + number % 200) for number in range(many)]
    local = build_morpho(market.live, seed=5, borrowers=many, loans=loans)
    files = (morpho_file(local),)
    caps = {
        "limits": {"max_in_flight": many},
        "confirm_dangerous": ["limits.max_in_flight"],
    }
    async with keeper_desk(tmp_path, market, [proxy.ws_url], deployments=files, root=caps) as desk:
        desk.rpc("evm_setBlockGasLimit", ROOM_FOR_ALL)
        assert liquidatable(local) == []
        moved = desk.fall(9_300)
        assert len(liquidatable(local)) == many
        await desk.until(lambda: len(desk.ears.sent_plans) == many)
        desk.mine()
        await desk.settle()
        landed = desk.ears.landed()
        assert [one.block for one in landed] == [moved + 1] * many
        assert liquidatable(local) == []
        forecasts = {plan.id: plan.forecast for plan, _ in desk.ears.sent_plans}
        assert {one.plan_id: one.realised for one in landed} == forecasts
        assert desk.ears.broken == []
