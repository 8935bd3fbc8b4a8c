"""A local market and a mirror of it, and what it is held against."""

from dataclasses import dataclass

from keeper.core.chain import BlockRef
from keeper.core.units import WAD, Address
from keeper.devnet.live import LiveMarket, account_data
from keeper.devnet.sender import Sender
from keeper.mirror.mirror import Mirror
from keeper.mirror.snapshot import Snapshot
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition
from tests.support.aave_scene import Look, Scene, differences, open_scene
from tests.support.market_node import MarketNode
from tests.support.watched_reader import WatchedReader

BLOCKS_REMEMBERED = 6

AaveMirror = Mirror[AaveMarket, AavePosition]
AaveSnapshot = Snapshot[AaveMarket, AavePosition]


@dataclass(slots=True)
class Stand:
    """A market, and a mirror of it that remembers few blocks."""

    scene: Scene
    reader: WatchedReader
    mirror: AaveMirror

    @property
    def live(self) -> LiveMarket:
        return self.scene.live

    async def head(self) -> BlockRef:
        return await self.scene.chain.reader.head()

    async def advance(self) -> AaveSnapshot:
        return await self.mirror.advance(await self.head())

    async def advance_by_blocks(self) -> AaveSnapshot:
        last = (await self.head()).number
        for number in range(self.mirror.snapshot.block.number + 1, last + 1):
            await self.mirror.advance(await self.scene.chain.reader.block(number))
        return self.mirror.snapshot

    def restart(self, reader: WatchedReader | None = None) -> AaveMirror:
        reader = reader or WatchedReader(reader=self.scene.chain.reader)
        return Mirror(self.scene.adapter, reader, depth_blocks=BLOCKS_REMEMBERED)

    def newcomer(self, number: int) -> Address:
        """Let an ordinary account supply and borrow in one block of its own; return it."""
        live = self.live
        who, weth = live.market.accounts.actors[number], live.market.weth
        supplier = Sender.of(live.rpc, live.market.accounts.supplier)
        supplier.call(live.pool, "supply", weth, WAD, who, 0)
        supplier.mine()
        actor = Sender.of(live.rpc, who)
        actor.call(live.pool, "borrow", weth, WAD // 10, 2, 0, who)
        actor.mine()
        return who

    def borrowers(self) -> set[Address]:
        return {ref.account for ref in self.mirror.snapshot.positions}

    def rpc(self, method: str, *parameters: object) -> object:
        return self.live.rpc.call(method, *parameters)


class open_stand:  # noqa: N801 - used as a function
    """Open a scene and start a mirror on it."""

    def __init__(self, node: MarketNode) -> None:
        self._scene = open_scene(node.live, node.anvil.http_url)

    async def __aenter__(self) -> Stand:
        scene = await self._scene.__aenter__()
        reader = WatchedReader(reader=scene.chain.reader)
        mirror = Mirror(scene.adapter, reader, depth_blocks=BLOCKS_REMEMBERED)
        stand = Stand(scene, reader, mirror)
        await mirror.start(await stand.head(), None, silent)
        return stand

    async def __aexit__(self, *error: object) -> None:
        await self._scene.__aexit__(*error)


def silent(_what: str, _done: int, _of: int) -> None:
    """Tell nobody how far a start is."""


async def assert_cold(stand: Stand) -> None:
    """Assert that the mirror holds what a cold start at its block finds, no more, no less."""
    held = stand.mirror.snapshot
    cold = await stand.restart().start(held.block, None, silent)
    assert held.block == cold.block
    assert held.market == cold.market
    assert dict(held.positions) == dict(cold.positions)


async def assert_as_the_pool_says(stand: Stand) -> None:
    """Assert every account's health to the wei, and that no account with debt is missing."""
    held, scene = stand.mirror.snapshot, stand.scene
    prices = await scene.prices(held.market, held.block)
    look = Look(block=held.block, market=held.market, positions=held.positions, prices=prices)
    assert await differences(scene, look) == []
    everybody = (*stand.live.market.borrowers, *stand.live.market.accounts.actors)
    data = account_data(stand.live, everybody, hex(held.block.number))
    owing = {who for who, row in zip(everybody, data, strict=True) if row.debt_base}
    assert owing <= {ref.account for ref in held.positions}
