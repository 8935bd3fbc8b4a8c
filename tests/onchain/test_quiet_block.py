"""What a block in which nothing happens costs the node: one read, whatever the number of loans."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from keeper.app.session import keeper_session
from keeper.config.settings import load
from keeper.devnet.actions import random_actions
from keeper.devnet.config_files import KeeperFiles, write_config
from tests.support.eventually import eventually
from tests.support.heard import Heard
from tests.support.market_node import MarketNode, built_market
from tests.support.recording_proxy import recording_proxy

WATCHDOG = {"eth_chainId", "eth_blockNumber", "eth_getBlockByNumber", "eth_syncing"}
"""Asked now and then by the clock to see that the node is well, not because of a block."""


class Asked(set[str]):
    """Methods in the order in which they were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []

    def add(self, method: str) -> None:
        super().add(method)
        if method not in WATCHDOG:
            self.reads.append(method)


@asynccontextmanager
async def watched(node: MarketNode, folder: Path) -> AsyncIterator[tuple[Heard, Asked]]:
    """Run a keeper whose calls go through a proxy and whose blocks are pushed."""
    with recording_proxy(node.anvil.http_url) as proxy:
        proxy.methods = asked = Asked()
        wanted = KeeperFiles(rpc=proxy.url, mode="observe", executor=None, recipient=None)
        config = write_config(folder, node.market, wanted)
        chain = folder / "chain.yaml"
        text = chain.read_text("utf-8")
        pushed = text.replace(f"- {proxy.url}\n", f"- {proxy.url}\n- {node.anvil.ws_url}\n")
        assert pushed != text
        chain.write_text(pushed, "utf-8")
        config.write_text(config.read_text("utf-8") + "audit: {every_blocks: 1000}\n", "utf-8")
        heard, stop = Heard(), asyncio.Event()
        async with keeper_session(load(config), heard) as session, asyncio.TaskGroup() as group:
            group.create_task(session.keeper.run(session.head, stop))
            await session.keeper.watching.wait()
            yield heard, asked
            stop.set()


@pytest.mark.parametrize("borrowers", [50, 800])
async def test_a_quiet_block_costs_one_read_whatever_the_number_of_loans(
    anvil_binary: Path, tmp_path: Path, borrowers: int
) -> None:
    with built_market(anvil_binary, seed=3, borrowers=borrowers) as node:
        async with watched(node, tmp_path) as (heard, asked):
            # A node's blooms are believed once one has told the truth.
            last = (await asyncio.to_thread(random_actions, node.live, seed=1, count=5)).last_block
            await eventually(lambda: heard.blocks[-1:] == [last])
            for _ in range(8):
                before = len(asked.reads)
                mined = int(await asyncio.to_thread(_mine, node), 16)
                await eventually(lambda mined=mined: heard.blocks[-1:] == [mined])
                assert asked.reads[before:] == ["eth_call"]


def _mine(node: MarketNode) -> str:
    node.live.rpc.call("evm_mine")
    return str(node.live.rpc.call("eth_blockNumber"))
