"""A reserve that is listed, used and dropped again while accounts are watched."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from keeper.app.sight import Sight
from keeper.core.units import MAX_UINT256, WAD, ZERO_ADDRESS
from keeper.devnet.aave import aave_artifacts
from keeper.devnet.contract import Artifact, Contract
from keeper.devnet.sender import Sender, read
from keeper.devnet.tokens import fund, token_artifacts
from keeper.oracle.watcher import PriceWatcher
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition
from tests.support.market_node import MarketNode, copied_market
from tests.support.mirror_stand import Stand, assert_cold, open_stand

BLOCK_S = 12
_STRATEGY = 11
"""In the words of ``getReserveData``."""
_VARIABLE_RATE = 2
_LOAN = 100 * 10**6


class Listing:
    """Lists one more asset, and drops it."""

    def __init__(self, stand: Stand, artifacts: Mapping[str, Artifact], token: Artifact) -> None:
        """List as the deployer, who also borrows."""
        market = stand.live.market
        self.live = stand.live
        self.who = Sender.of(stand.live.rpc, market.accounts.deployer)
        self.token = self.who.deploy(token, "Short lived", "GONE", 18)
        self._artifacts = artifacts
        self._configurator = Contract(
            artifact=artifacts["PoolConfigurator"], address=market.configurator
        )

    def begin(self) -> None:
        """List the asset at the price of ether, and borrow on it."""
        who, live, market = self.who, self.live, self.live.market
        pool, token = market.pool, self.token.address
        parts = [
            who.deploy(self._artifacts[name], pool).address
            for name in ("AToken", "StableDebtToken", "VariableDebtToken")
        ]
        strategy = read(live.rpc, live.pool, "getReserveData", market.weth)[_STRATEGY]
        names = ("a", "aGONE", "v", "vGONE", "s", "sGONE")
        row = (*parts, 18, strategy, token, who.account, ZERO_ADDRESS, *names, b"")
        who.call(self._configurator, "initReserves", [row])
        who.call(self._configurator, "configureReserveAsCollateral", token, 7000, 7500, 10500)
        who.call(live.oracle, "setAssetSources", [token], [market.asset("WETH").feed])
        fund(who, {"GONE": self.token, **live.tokens}, who.account, {"GONE": WAD, "USDC": _LOAN})
        for one in (self.token, live.tokens["USDC"]):
            who.call(one, "approve", pool, MAX_UINT256)
        who.call(live.pool, "supply", token, WAD, who.account, 0)
        who.call(
            live.pool, "borrow", market.asset("USDC").token, _LOAN, _VARIABLE_RATE, 0, who.account
        )
        who.mine()

    def end(self) -> None:
        """Repay, withdraw and drop the asset."""
        who, live, token = self.who, self.live, self.token.address
        usdc = live.market.asset("USDC").token
        who.call(live.pool, "repay", usdc, MAX_UINT256, _VARIABLE_RATE, who.account)
        who.call(live.pool, "withdraw", token, MAX_UINT256, who.account)
        who.call(self._configurator, "dropReserve", token)
        who.mine()


@pytest.mark.parametrize("looks_meanwhile", [True, False])
async def test_accounts_are_watched_on_when_the_newest_reserve_is_dropped(
    anvil_binary: Path,
    packages: Mapping[str, Path],
    local_market: MarketNode,
    looks_meanwhile: bool,  # noqa: FBT001 - a parameter of the test
):
    core = packages["aave-core-v3"]
    with copied_market(anvil_binary, local_market) as node:
        async with open_stand(node) as stand:
            sight: Sight[AaveMarket, AavePosition] = Sight(
                stand.scene.adapter, block_time_s=BLOCK_S
            )
            sight.take(stand.mirror.snapshot)
            listing = Listing(stand, aave_artifacts(core), token_artifacts(core)["USDC"])
            listing.begin()
            sight.take(await stand.advance())
            assert listing.who.account in stand.borrowers()
            if looks_meanwhile:
                await look(stand, sight)
            listing.end()
            sight.take(await stand.advance())
            await look(stand, sight)
            assert listing.who.account not in stand.borrowers()
            await assert_cold(stand)


async def look(stand: Stand, sight: Sight[AaveMarket, AavePosition]) -> None:
    """Look at every loan at the head's prices."""
    snapshot = stand.mirror.snapshot
    watcher = PriceWatcher(stand.reader)
    await watcher.follow(stand.scene.adapter.feeds(snapshot.market), snapshot.block)
    prices = await watcher.read(snapshot.block, None)
    sight.look(snapshot.block, snapshot, prices, "test")
    await sight.refresh()
