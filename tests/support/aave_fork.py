"""A market of Aave V3 read as a fork of it that numbers its revisions by itself."""

from keeper.chain.session import ChainOptions, open_chain
from keeper.protocols.aave_v3.adapter import AaveAdapter
from keeper.protocols.aave_v3.parameters import Parameters
from keeper.protocols.aave_v3.state import AaveMarket
from tests.support.market_node import MarketNode


async def read_as_fork(node: MarketNode, revisions: dict[int, str]) -> AaveMarket:
    """Read the market of a node as a fork whose revisions follow these releases."""
    adapter = AaveAdapter(
        deployment="fork.local",
        start_block=0,
        parameters=Parameters(addresses_provider=node.market.provider, revisions=revisions),
    )
    options = ChainOptions(chain_id=node.market.chain_id, multicall3=node.market.multicall3)
    async with open_chain(node.anvil.http_url, options) as chain:
        return await adapter.read_market(chain.reader, await chain.reader.head(), None, None)
