"""What governance, guardians and the sequencer change is noticed and reckoned with."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from keeper.core.lending import Option, SeizeQuote
from keeper.core.units import MAX_UINT256, ZERO_ADDRESS, Address
from keeper.devnet.aave import aave_artifacts
from keeper.devnet.assets import CATEGORIES, ETH_CORRELATED
from keeper.devnet.contract import Contract, load_artifact
from keeper.devnet.crash import crash
from keeper.devnet.prices import push_price
from keeper.devnet.sender import Sender
from tests.support.aave_scene import Look, Scene, differences, judge, open_scene, pairs_of
from tests.support.market_node import MarketNode, copied_market

STABLE_RATE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Governed:
    """A market after a crash, and who may change it."""

    scene: Scene
    admin: Sender
    configurator: Contract
    provider: Contract
    contracts: Path
    look: Look

    def token(self, symbol: str) -> Address:
        return self.scene.live.market.asset(symbol).token

    def mine(self) -> None:
        self.admin.mine()

    async def follow(self) -> Look:
        """Follow the logs; assert that nothing was missed and nothing is reckoned otherwise."""
        self.mine()
        followed = await self.scene.follow(self.look)
        cold = await self.scene.look(followed.positions)
        assert followed.market == cold.market
        assert followed.positions == cold.positions
        assert await differences(self.scene, followed) == []
        return followed

    async def judge_sample(self, look: Look, count: int = 25) -> Mapping[str, int]:
        """Try offers on accounts of all kinds; count what the adapter rightly said."""
        scene, random = self.scene, Random(4)  # noqa: S311 - a sample, not a secret
        timestamp = look.block.timestamp + 12
        view = scene.adapter.at(look.market, timestamp=timestamp, prices=look.prices)
        refs = [
            r
            for r, p in sorted(look.positions.items())
            if scene.adapter.assess(view, p).liquidatable
        ]
        said: dict[str, int] = {}
        for ref in random.sample(refs, min(count, len(refs))):
            for collateral, debt in pairs_of(view, look.positions[ref]):
                option = Option(collateral=collateral, debt=debt, max_repay=0)
                found = await judge(scene, look, view, ref, option, MAX_UINT256)
                name = "quoted" if isinstance(found, SeizeQuote) else found.name
                said[name] = said.get(name, 0) + 1
        return said


@pytest.fixture
async def governed(
    anvil_binary: Path, packages: Mapping[str, Path], local_market: MarketNode
) -> AsyncIterator[Governed]:
    package = packages["aave-core-v3"]
    artifacts = aave_artifacts(package)
    with copied_market(anvil_binary, local_market) as node:
        for step in crash(node.live):
            if step.number == 6:
                break
        async with open_scene(node.live, node.anvil.http_url) as scene:
            market = node.market
            yield Governed(
                scene=scene,
                admin=Sender.of(node.live.rpc, market.accounts.deployer),
                configurator=Contract(
                    artifact=artifacts["PoolConfigurator"], address=market.configurator
                ),
                provider=Contract(
                    artifact=artifacts["PoolAddressesProvider"], address=market.provider
                ),
                contracts=package / "artifacts" / "contracts",
                look=await scene.look(),
            )


async def test_thresholds_bonuses_and_fees_change_at_once(governed: Governed):
    admin, configurator = governed.admin, governed.configurator
    weth = governed.token("WETH")
    admin.call(configurator, "configureReserveAsCollateral", weth, 7000, 7777, 10777)
    admin.call(configurator, "setLiquidationProtocolFee", weth, 3333)
    admin.call(configurator, "setLiquidationProtocolFee", governed.token("WBTC"), 0)
    look = await governed.follow()
    assert (await governed.judge_sample(look))["quoted"] > 20


async def test_a_paused_reserve_is_refused_on_either_side(governed: Governed):
    governed.admin.call(governed.configurator, "setReservePause", governed.token("USDC"), True)
    look = await governed.follow()
    said = await governed.judge_sample(look)
    assert said["RESERVE_PAUSED"] > 5
    assert said["quoted"] > 1
    view = governed.scene.adapter.at(
        look.market, timestamp=look.block.timestamp + 12, prices=look.prices
    )
    usdc = governed.token("USDC")
    for position in look.positions.values():
        for option in governed.scene.adapter.options(view, position):
            assert usdc not in (option.collateral, option.debt)


async def test_categories_are_edited_and_priced_by_a_source_of_their_own(governed: Governed):
    admin, configurator, scene = governed.admin, governed.configurator, governed.scene
    key = Address("0x" + "77" * 20)
    feed = scene.live.market.asset("wstETH").feed
    admin.call(scene.live.oracle, "setAssetSources", [key], [feed])
    admin.call(configurator, "setEModeCategory", ETH_CORRELATED, 9000, 9500, 10100, key, "priced")
    look = await governed.follow()
    assert key in {one.id for one in scene.adapter.feeds(look.market)}
    followers = [p for p in look.positions.values() if p.emode == ETH_CORRELATED]
    assert followers
    assert all(key in scene.adapter.feeds_of(look.market, p) for p in followers)
    await governed.judge_sample(look, count=100)


async def test_a_reserve_leaves_its_category(governed: Governed):
    governed.admin.call(governed.configurator, "setAssetEModeCategory", governed.token("wstETH"), 0)
    governed.admin.call(
        governed.configurator, "setEModeCategory", max(CATEGORIES) + 1, 9000, 9500, 10100,
        ZERO_ADDRESS, "new"
    )  # fmt: skip
    look = await governed.follow()
    assert (await governed.judge_sample(look, count=100))["quoted"] > 20


async def test_the_sequencers_grace_holds_liquidations_above_095(governed: Governed):
    admin = governed.admin
    sequencer = admin.deploy(
        load_artifact(governed.contracts / "mocks/oracle/SequencerOracle.sol/SequencerOracle.json"),
        admin.account,
    )
    place = "protocol/configuration/PriceOracleSentinel.sol/PriceOracleSentinel.json"
    sentinel = admin.deploy(
        load_artifact(governed.contracts / place),
        governed.provider.address,
        sequencer.address,
        3600,
    )
    now = governed.look.block.timestamp
    admin.call(sequencer, "setAnswer", False, now)
    admin.call(governed.provider, "setPriceOracleSentinel", sentinel.address)
    look = await governed.follow()
    said = await governed.judge_sample(look, count=100)
    assert said["SENTINEL"] > 5
    assert said["quoted"] > 1
    scene = governed.scene
    later = scene.adapter.at(look.market, timestamp=now + 3601, prices=look.prices)
    assert later.sentinel is not None
    assert later.sentinel.allows(now + 3601)
    assert not later.sentinel.allows(now + 3600)


async def test_a_new_source_of_an_asset_is_found(governed: Governed):
    scene = governed.scene
    feed = scene.live.market.asset("USDC").feed
    governed.admin.call(scene.live.oracle, "setAssetSources", [governed.token("DAI")], [feed])
    look = await governed.follow()
    (dai,) = [one for one in scene.adapter.feeds(look.market) if one.id == governed.token("DAI")]
    assert dai.source == feed
    assert dai.direct


async def test_an_oracle_that_is_set_by_its_id_is_found(governed: Governed):
    """``setAddress`` tells nothing but the id: no ``PriceOracleUpdated``."""
    admin, market = governed.admin, governed.look.market
    other = admin.deploy(
        load_artifact(governed.contracts / "misc/AaveOracle.sol/AaveOracle.json"),
        governed.provider.address,
        [one.token for one in governed.scene.live.market.assets],
        [one.feed for one in governed.scene.live.market.assets],
        ZERO_ADDRESS,
        ZERO_ADDRESS,
        10**8,
    )
    admin.call(governed.provider, "setAddress", b"PRICE_ORACLE".ljust(32, b"\0"), other.address)
    look = await governed.follow()
    assert look.market.oracle == other.address != market.oracle


async def test_stable_debt_compounds_for_each_account(governed: Governed):
    scene, admin = governed.scene, governed.admin
    admin.call(governed.configurator, "setReserveStableRateBorrowing", governed.token("DAI"), True)
    admin.mine()
    actor = Sender.of(scene.live.rpc, scene.live.market.accounts.actors[0])
    supplier = Sender.of(scene.live.rpc, scene.live.market.accounts.supplier)
    pool = scene.live.pool
    supplier.call(pool, "supply", governed.token("WETH"), 3 * 10**18, actor.account, 0)
    supplier.mine()
    dai = governed.token("DAI")
    actor.call(pool, "borrow", dai, 3_000 * 10**18, STABLE_RATE, 0, actor.account)
    actor.call(pool, "borrow", dai, 2_500 * 10**18, 2, 0, actor.account)
    actor.mine()
    look = await governed.follow()
    ((ref, mine),) = [(r, p) for r, p in look.positions.items() if r.account == actor.account]
    assert mine.stable[0].principal == 3_000 * 10**18
    scene.live.rpc.call("evm_setNextBlockTimestamp", look.block.timestamp + 20_000_000)
    push_price(scene.live, "WETH", 2_000 * 10**8)
    look = await governed.follow()
    timestamp = look.block.timestamp + 86_400
    view = scene.adapter.at(look.market, timestamp=timestamp, prices=look.prices)
    (option,) = scene.adapter.options(view, look.positions[ref])
    for offer in (option.max_repay, 2_600 * 10**18, 10**18):
        found = await judge(scene, look, view, ref, option, offer)
        assert isinstance(found, SeizeQuote)
