"""A market of the test's own whose feeds are replaced, aged, bounded and broken."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from keeper.core.chain import BlockRef
from keeper.core.units import ZERO_ADDRESS, Address
from keeper.devnet.chainlink import aggregator_artifact
from keeper.devnet.contract import Artifact, Contract, load_artifact
from keeper.devnet.live import LiveMarket
from keeper.devnet.packages import MARKET_PACKAGES, ensure_all
from keeper.devnet.rpc import Rpc
from keeper.devnet.sender import Sender
from keeper.oracle.book import PriceBook
from keeper.oracle.policy import NO_POLICY, OraclePolicy
from keeper.oracle.watcher import PriceWatcher
from tests.support.aave_scene import Scene, open_scene
from tests.support.market_node import MarketNode

DAY = 86_400


@dataclass(slots=True, kw_only=True)
class OracleStage:
    """A fork of the market, a watcher of its prices, and the contracts to trouble them with."""

    scene: Scene
    live: LiveMarket
    artifacts: Mapping[str, Artifact]
    watcher: PriceWatcher
    market: Any = None
    book: PriceBook | None = None

    @property
    def rpc(self) -> Rpc:
        return self.live.rpc

    @property
    def owner(self) -> Sender:
        return Sender.of(self.rpc, self.live.market.accounts.deployer)

    def key(self, symbol: str) -> Address:
        """Return a feed's id: the asset."""
        return self.live.market.asset(symbol).token

    def deploy(self, name: str, *arguments: object) -> Contract:
        owner = self.owner
        made = owner.deploy(self.artifacts[name], *arguments)
        owner.mine()
        return made

    def deploy_aggregator(self, *, low: int, high: int, decimals: int = 8) -> Contract:
        """Deploy a real aggregator that the market's oracle node may submit to."""
        folder = ensure_all(MARKET_PACKAGES)["chainlink-feeds"]
        owner, accounts = self.owner, self.live.market.accounts
        made = owner.deploy(
            aggregator_artifact(folder),
            *(ZERO_ADDRESS, 0, 1_800, ZERO_ADDRESS, low, high, decimals, "test"),
        )
        nodes = ([], [accounts.oracle_node], [owner.account], 1, 1, 0)
        owner.call(made, "changeOracles", *nodes)
        owner.mine()
        return made

    def deploy_proxy(self, aggregator: Contract, *, has_access: bool = True) -> Contract:
        """Deploy a real proxy before an aggregator."""
        owner = self.owner
        made = owner.deploy(self.proxy_artifact(), aggregator.address, ZERO_ADDRESS)
        if has_access:
            owner.call(aggregator, "addAccess", made.address)
        owner.mine()
        return made

    def proxy_artifact(self) -> Artifact:
        folder = ensure_all(MARKET_PACKAGES)["chainlink-feeds"]
        return load_artifact(folder / "abi/v0.6/EACAggregatorProxy.json")

    def proxy(self, symbol: str) -> Contract:
        """Return the market's own proxy of an asset."""
        where = self.live.market.asset(symbol).feed
        return Contract(artifact=self.proxy_artifact(), address=where)

    def do(self, contract: Contract, function: str, *arguments: object) -> None:
        owner = self.owner
        owner.call(contract, function, *arguments)
        owner.mine()

    def set_source(self, symbol: str, source: Address) -> None:
        """Make the market's oracle read an asset's price elsewhere."""
        self.do(self.live.oracle, "setAssetSources", [self.key(symbol)], [source])

    def wait(self, seconds: int) -> None:
        """Mine a block that is so much younger than the last."""
        now = int(self.rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        self.rpc.call("evm_setNextBlockTimestamp", now + seconds)
        self.rpc.call("evm_mine")

    async def follow(self, policy: OraclePolicy = NO_POLICY) -> PriceBook:
        """Read the market anew and follow its feeds under a policy."""
        reader = self.scene.chain.reader
        head = await reader.head()
        self.market = await self.scene.adapter.read_market(reader, head, None, None)
        self.watcher = PriceWatcher(reader, policy)
        await self.watcher.follow(self.scene.adapter.feeds(self.market), head)
        self.book = None
        return await self.read()

    async def read(self) -> PriceBook:
        """Read the prices at the head."""
        head = await self.head()
        self.book = await self.watcher.read(head, self.book)
        return self.book

    async def head(self) -> BlockRef:
        return await self.scene.chain.reader.head()

    async def problem(self, symbol: str) -> str:
        """Return why the asset's price may not be acted on now, empty when it may."""
        return (await self.read()).problems.get(self.key(symbol), "")


async def oracle_stage(
    market_copy: MarketNode, hostile_artifacts: Mapping[str, Artifact]
) -> AsyncIterator[OracleStage]:
    """Open a stage on a fork: what a fixture is made of where tests need one."""
    live = market_copy.live
    async with open_scene(live, market_copy.anvil.ws_url) as scene:
        watcher = PriceWatcher(scene.chain.reader)
        yield OracleStage(scene=scene, live=live, artifacts=hostile_artifacts, watcher=watcher)


def submit(stage: OracleStage, aggregator: Contract, answer: int) -> None:
    """Have the market's oracle node submit the first answer of an aggregator."""
    node = Sender.of(stage.rpc, stage.live.market.accounts.oracle_node)
    node.call(aggregator, "submit", 1, answer)
    node.mine()
