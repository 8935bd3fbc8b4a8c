"""Plans funded by every kind of lender come to their forecast, to the wei.

Balancer's vault is the published bytecode, the pools are Uniswap's, the inventory is the product's.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keeper.core.plan import LoanKind, SwapKind
from keeper.core.ports import FlashSource
from keeper.core.values import replace
from keeper.devnet.balancer import deploy_vault
from keeper.devnet.crash import crash
from keeper.devnet.executor import deploy_inventory
from keeper.devnet.sender import Sender, read
from keeper.evm.words import selector
from keeper.venues.balancer_flash import BalancerFlashSource
from keeper.venues.inventory_flash import InventoryFlashSource
from keeper.venues.pool_flash import PoolFlashSource
from tests.support.aave_scene import open_scene
from tests.support.crashed_market import (
    Crashed,
    at_the_desk,
    forecast_at,
    plans_alone,
    realised,
    received,
)
from tests.support.executor_stage import RECIPIENT, deploy, executor_artifact
from tests.support.market_node import MarketNode, copied_market

STABLES = ("USDC", "USDT", "DAI")
BELOW_MINIMUM = selector("ProfitBelowMinimum(uint256,uint256)")


@pytest.fixture
async def crashed(anvil_binary: Path, local_market: MarketNode) -> AsyncIterator[Crashed]:
    with copied_market(anvil_binary, local_market) as node:
        who = node.market.accounts
        for step in crash(node.live):
            if step.number == 6:
                break
        contract = deploy(
            node.live.rpc, who.deployer, executor_artifact(), who.deployer, [who.keeper], RECIPIENT
        )
        async with open_scene(node.live, node.anvil.http_url) as scene:
            yield await at_the_desk(scene, contract.address)


def vault_of(crashed: Crashed) -> FlashSource:
    """Deploy a vault with a tenth of the supplier's stablecoins in it."""
    live, who = crashed.scene.live, crashed.scene.live.market.accounts
    deployer = Sender.of(live.rpc, who.deployer)
    vault = deploy_vault(deployer, authorizer=who.deployer, weth=live.market.weth)
    deployer.mine()
    supplier = Sender.of(live.rpc, who.supplier)
    for name in STABLES:
        held = read(live.rpc, live.tokens[name], "balanceOf", who.supplier)
        supplier.call(live.tokens[name], "transfer", vault.address, held // 10)
    supplier.mine()
    reader = crashed.scene.chain.reader
    return BalancerFlashSource(reader, vault=vault.address, executor=crashed.executor)


def inventory_of(crashed: Crashed) -> FlashSource:
    """Deploy an inventory of the supplier's stablecoins."""
    live, who = crashed.scene.live, crashed.scene.live.market.accounts
    where = deploy_inventory(
        live.rpc, deployer=who.deployer, executor=crashed.executor, treasury=who.supplier
    )
    supplier = Sender.of(live.rpc, who.supplier)
    for name in STABLES:
        supplier.call(live.tokens[name], "approve", where, 10**30)
    supplier.mine()
    return InventoryFlashSource(crashed.scene.chain.reader, inventory=where)


def pool_of(crashed: Crashed) -> FlashSource:
    """Return the deepest pool of USDC and wrapped ether, which routes use as well."""
    market = crashed.scene.live.market
    usdc = market.asset("USDC").token
    pair = {usdc, market.weth}
    pool = next(one for one in market.pools if {one.token0, one.token1} == pair)
    reader = crashed.scene.chain.reader
    return PoolFlashSource(reader, pool=pool.address, executor=crashed.executor)


MAKERS = {
    LoanKind.FLASH_VAULT: vault_of,
    LoanKind.FLASH_3156: inventory_of,
    LoanKind.FLASH_POOL: pool_of,
}


@pytest.mark.parametrize("kind", MAKERS)
async def test_a_plan_that_this_lender_funds_comes_to_its_forecast(
    crashed: Crashed, kind: LoanKind
) -> None:
    lender = MAKERS[kind](crashed)
    funded = await at_the_desk(crashed.scene, crashed.executor)
    debts = {one.debt for case in funded.cases for one in case.opportunity.options}
    book = await lender.snapshot(debts, funded.look.block)
    desk = replace(funded.desk, loans=(book,))
    funded = replace(funded, desk=desk, lender=lender)
    done = 0
    for plan in plans_alone(funded, funded.planner_with(replace(crashed.limits, min_profit=1))):
        if plan.funding.kind is not kind:
            continue
        (ran,) = await funded.run(plan)
        assert ran.success, f"{plan.id}: {ran.error}"
        assert realised(funded, plan, ran) == forecast_at(plan, funded, ran.gas_used), plan.id
        assert (plan.funding.fee > 0) is (kind is LoanKind.FLASH_POOL)
        done += 1
    assert done > 3


async def test_a_pool_is_not_borrowed_from_where_the_route_needs_it(crashed: Crashed) -> None:
    lender = pool_of(crashed)
    debts = {one.debt for case in crashed.cases for one in case.opportunity.options}
    book = await lender.snapshot(debts, crashed.look.block)
    alone = replace(crashed, desk=replace(crashed.desk, loans=(book,)))
    both = replace(crashed, desk=replace(crashed.desk, loans=(book, *crashed.desk.loans)))
    for plan in plans_alone(alone, alone.planner):
        bought = [leg for leg in plan.route if leg.kind is SwapKind.EXACT_OUT_OWED]
        assert all(leg.pool != plan.funding.lender for leg in bought)
    assert {plan.funding.kind for plan in plans_alone(both, both.planner)} >= {
        LoanKind.FLASH_SIMPLE
    }


async def test_a_premium_that_rose_since_comes_out_of_the_profit_or_undoes_all(
    crashed: Crashed,
) -> None:
    """Governance raises it between the plan and its block; the minimum on chain is what holds."""
    live = crashed.scene.live
    admin = Sender.of(live.rpc, live.market.accounts.deployer)
    plans, seen = plans_alone(crashed, crashed.planner), set[bool]()
    for premium_bps in (10, 25, 100, 400):
        admin.call(live.configurator, "updateFlashloanPremiumTotal", premium_bps)
        admin.mine()
        later = await at_the_desk(crashed.scene, crashed.executor)
        for plan in plans:
            (done,) = await later.run(plan)
            if done.success:
                assert plan.min_profit <= received(done) < plan.forecast.net + plan.forecast.gas
            elif premium_bps < 100:
                assert done.return_data[:4] == BELOW_MINIMUM
            seen.add(done.success)
    assert seen == {True, False}
