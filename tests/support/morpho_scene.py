"""The local Morpho Blue seen twice: by the adapter, and by asking Morpho itself."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from keeper.chain.session import Chain, ChainOptions, open_chain
from keeper.core.chain import BlockRef, Simulated, Transaction
from keeper.core.lending import AccountRef, Price
from keeper.core.units import MAX_UINT256, Address
from keeper.devnet.morpho import LocalMorpho, build_morpho
from keeper.devnet.sender import Sender
from keeper.devnet.stage_morpho_blue import morpho_file
from keeper.protocols.morpho_blue import codec
from keeper.protocols.morpho_blue.adapter import MorphoAdapter
from keeper.protocols.morpho_blue.rules import Totals
from keeper.protocols.morpho_blue.state import MorphoMarket, MorphoPosition
from keeper.protocols.registry import adapter_for
from tests.support.market_node import MarketNode, copied_market


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the adapter knows at a block."""

    block: BlockRef
    market: MorphoMarket
    positions: Mapping[AccountRef, MorphoPosition]
    prices: Mapping[str, Price]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A chain that is open, and the adapter of the Morpho on it."""

    chain: Chain
    adapter: MorphoAdapter
    local: LocalMorpho

    @property
    def liquidator(self) -> Address:
        """Somebody who has every token, and allowed Morpho to take it."""
        return self.local.live.market.accounts.supplier

    async def look(self) -> Look:
        """Read everything anew at the newest block."""
        reader = self.chain.reader
        block = await reader.head()
        market = await self.adapter.read_market(reader, block, None, None)
        wanted = self.adapter.discovery_filter(market)
        logs = await reader.logs_between(wanted, self.adapter.start_block, block.number)
        refs = sorted(self.adapter.touched(market, logs).accounts)
        positions = await self.adapter.read_positions(reader, block, market, refs)
        prices = await self.prices(market, block)
        return Look(block=block, market=market, positions=positions, prices=prices)

    async def follow(self, before: Look) -> Look:
        """Read only what the logs since ``before`` touched."""
        reader = self.chain.reader
        block = await reader.head()
        wanted = self.adapter.log_filter(before.market)
        logs = await reader.logs_between(wanted, before.block.number + 1, block.number)
        touched = self.adapter.touched(before.market, logs)
        market = await self.adapter.read_market(reader, block, before.market, touched)
        refs = sorted(touched.accounts)
        fresh = await self.adapter.read_positions(reader, block, market, refs)
        return Look(
            block=block,
            market=market,
            positions={**before.positions, **fresh},
            prices=await self.prices(market, block),
        )

    async def prices(self, market: MorphoMarket, block: BlockRef) -> dict[str, Price]:
        """Read every feed at a block."""
        feeds = self.adapter.feeds(market)
        answers = await self.chain.reader.call_many([feed.read for feed in feeds], block)
        return {
            feed.id: Price(
                value=int.from_bytes(answer.data, "big"),
                block=block.number,
                updated_at=block.timestamp,
            )
            for feed, answer in zip(feeds, answers, strict=True)
        }

    def view(self, look: Look, later_s: int = 0) -> MorphoMarket:
        """Return the look's market, later."""
        timestamp = look.block.timestamp + later_s
        return self.adapter.at(look.market, timestamp=timestamp, prices=look.prices)

    async def attempt(
        self, look: Look, calls: Sequence[tuple[Address, bytes]], timestamp: int
    ) -> list[Simulated]:
        """Run calls by the liquidator in one block at a time, and undo them."""
        transactions = [Transaction(sender=self.liquidator, to=to, data=data) for to, data in calls]
        return await self.chain.simulator.simulate(
            transactions, base=look.block, timestamp=timestamp, base_fee=0, overrides={}
        )

    async def totals(self, look: Look, timestamp: int) -> dict[str, Totals]:
        """Return each market's totals after Morpho itself has accrued interest to a time."""
        morpho, calls = self.local.morpho, []
        for one in self.local.markets:
            calls.append((morpho.address, morpho.encode("accrueInterest", one.params)))
            calls.append(
                (morpho.address, codec.ask_market(morpho.address, codec.MARKET, one.id).data)
            )
        answers = await self.attempt(look, calls, timestamp)
        return {
            one.id: codec.totals_of(answers[2 * i + 1].return_data)[0]
            for i, one in enumerate(self.local.markets)
        }


@contextmanager
def morpho_node(
    binary: Path, base: MarketNode, *, seed: int = 5, borrowers: int = 60
) -> Iterator[tuple[MarketNode, LocalMorpho]]:
    """Build Morpho on a fork of the shared market."""
    with copied_market(binary, base) as node:
        local = build_morpho(node.live, seed=seed, borrowers=borrowers)
        supplier = Sender.of(node.live.rpc, node.market.accounts.supplier)
        for one in local.markets:
            if one.early is not None:
                token = node.live.tokens[one.spec.loan]
                supplier.call(token, "approve", one.early, MAX_UINT256)
        supplier.mine()
        yield node, local


@asynccontextmanager
async def open_scene(node: MarketNode, local: LocalMorpho) -> AsyncIterator[Scene]:
    """Open the chain and make the adapter of the deployment."""
    file = morpho_file(local)
    adapter = adapter_for(
        file.protocol,
        deployment="morpho_blue.local",
        start_block=file.start_block,
        parameters={
            "morpho": file.parameters["morpho"],
            "pre_liquidation_factories": (local.factory.address,),
        },
    )
    assert isinstance(adapter, MorphoAdapter)
    options = ChainOptions(chain_id=node.market.chain_id, multicall3=node.market.multicall3)
    async with open_chain(node.anvil.http_url, options) as chain:
        yield Scene(chain=chain, adapter=adapter, local=local)
