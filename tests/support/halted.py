"""A database that says that sending is halted, as a keeper on a market's node leaves it."""

import asyncio
from pathlib import Path

from keeper.ledger.journal import SqliteJournal
from keeper.ledger.store import ChainIdentity
from keeper.runtime.clock import SystemClock
from tests.support.market_node import MarketNode


def leave_halted(node: MarketNode, database: Path, why: str) -> None:
    genesis = node.live.rpc.call("eth_getBlockByNumber", "0x0", False)["hash"]
    identity = ChainIdentity(chain_id=31337, genesis_hash=genesis)

    async def halt() -> None:
        journal = await SqliteJournal.open(database, identity, clock=SystemClock())
        await journal.halt(why)
        await journal.close()

    asyncio.run(halt())
