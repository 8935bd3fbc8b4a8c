"""A price comes in a block that changes accounts as well: they are planned as that leaves them."""

from pathlib import Path
from typing import Any

import pytest

from keeper.app.deployment import Deployment
from keeper.core.chain import BlockRef
from keeper.core.lending import Reason
from keeper.core.units import MAX_UINT256
from keeper.devnet.assets import ASSETS
from keeper.devnet.sender import Sender
from tests.support.fault_desk import Desk, keeper_desk
from tests.support.fault_proxy import FaultProxy
from tests.support.market_node import MarketNode

VARIABLE_RATE = 2
DOLLAR = 10 ** ASSETS["USDC"].decimals
DIFFERING = (Reason.SIMULATION_DIFFERS, Reason.SIMULATION_FAILED)


async def test_who_changes_in_the_block_of_the_price_is_liquidated_in_the_next(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        await desk.until(lambda: proxy.methods.count("eth_subscribe") > 1)  # to feeds as well
        desk.mine()
        await desk.at_head()
        let_the_price_go_first(desk, monkeypatch)
        repay_a_little(desk)
        fell = desk.fall()
        await desk.until(lambda: desk.session.keeper.acted_on >= fell)
        desk.mine()
        await desk.settle()
        differed = {one.ref for one in desk.ears.rejections if one.reason in DIFFERING}
        again = {
            plan.id
            for plan, _ in desk.ears.sent_plans
            if plan.ref in differed and plan.opportunity.block.number == fell
        }
        assert again  # planned on what they owed before, then on what they owe
        landed = {one.plan_id: one.block for one in desk.ears.landed()}
        assert {landed[one] for one in again} == {fell + 1}
        desk.require_invariants()


def let_the_price_go_first(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the next head wait until plans came to nothing that its price brought."""
    see_head = Deployment.see_head

    async def seen(deployment: "Deployment[Any, Any]", head: BlockRef) -> bool:
        await desk.until(lambda: any(one.reason in DIFFERING for one in desk.ears.rejections))
        return await see_head(deployment, head)

    monkeypatch.setattr(Deployment, "see_head", seen)


def repay_a_little(desk: Desk) -> None:
    """Have a dollar of each borrower's debt repaid in the next block."""
    live, accounts = desk.node.live, desk.node.market.accounts
    supplier, usdc = Sender.of(live.rpc, accounts.supplier), live.tokens["USDC"]
    supplier.call(usdc, "approve", live.pool.address, MAX_UINT256)
    for borrower in desk.node.market.borrowers:
        data = live.pool.encode("repay", usdc.address, DOLLAR, VARIABLE_RATE, borrower)
        supplier.add("repay", to=live.pool.address, data=data, gas=1_000_000)
    supplier.submit()
