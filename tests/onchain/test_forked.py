"""A fork under a keeper's load: asked without turns, two of five stand still within a second."""

import asyncio
import random
from contextlib import closing
from pathlib import Path

from keeper.chain.anvil import AnvilOptions, open_anvil
from keeper.chain.endpoint import parse_endpoint
from keeper.chain.session import Chain, ChainOptions, open_chain
from keeper.core.chain import Call
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.devnet.market import LocalMarket
from keeper.devnet.rpc import Rpc
from keeper.evm.words import selector, word_of_address
from tests.support.market_node import MarketNode

FORKS = 5
BLOCKS = 40
ACCOUNTS = 12


async def test_a_fork_answers_whatever_is_asked_while_blocks_come(
    anvil_binary: Path, local_market: MarketNode
):
    forked = AnvilOptions(fork_url=local_market.anvil.http_url)
    for number in range(FORKS):
        async with await open_anvil(anvil_binary, forked) as anvil:
            await lived_on(anvil.http_url, anvil.ws_url, local_market.market, number)


async def lived_on(http_url: str, ws_url: str, market: LocalMarket, seed: int) -> None:
    """Mine blocks on a fork as fast as they come, and read until the last."""
    options = ChainOptions(chain_id=market.chain_id, multicall3=market.multicall3)
    endpoint = replace(parse_endpoint(ws_url), forks=True)
    async with open_chain([endpoint], options) as chain, asyncio.TaskGroup() as group:
        mined = group.create_task(asyncio.to_thread(mine, http_url))
        for reader in range(2):
            group.create_task(read(chain, market, random.Random(2 * seed + reader), mined))  # noqa: S311 - repeatable


def mine(http_url: str) -> None:
    with closing(Rpc(http_url)) as rpc:
        for _ in range(BLOCKS):
            rpc.call("evm_mine")


async def read(
    chain: Chain, market: LocalMarket, chance: random.Random, mined: "asyncio.Task[None]"
) -> None:
    while not mined.done():
        head = await chain.reader.head()
        for who in chance.sample(market.borrowers, ACCOUNTS):
            block = await chain.reader.block(head.number - chance.randrange(2))
            await asyncio.gather(
                chain.reader.call_many([health(market.pool, who)], block),
                chain.reader.balance(who, block),
                chain.reader.nonce(who, block),
            )


def health(pool: Address, who: Address) -> Call:
    return Call(to=pool, data=selector("getUserAccountData(address)") + word_of_address(who))
