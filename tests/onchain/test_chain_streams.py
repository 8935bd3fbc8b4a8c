"""Heads and logs of a real node, pushed and polled, through reorgs and rollbacks."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from keeper.chain.anvil import Anvil, AnvilOptions, start_anvil
from keeper.chain.rpc import RetryPolicy
from keeper.chain.session import Chain, ChainOptions, open_chain
from keeper.chain.trouble import Trouble
from keeper.core.chain import LogFilter
from keeper.core.units import ZERO_ADDRESS, Hash32, address
from tests.support.eventually import eventually, mined

CHAIN_ID = 31337
COUNTER = address("0x" + "44" * 20)
CODE = "0x5f54600101805f555f5260015f5fa160205ff3"
WANTED = LogFilter(addresses=frozenset({COUNTER}), topics=frozenset({Hash32("0x" + f"{1:064x}")}))


@pytest.fixture
async def anvil(anvil_binary: Path) -> AsyncIterator[Anvil]:
    with start_anvil(anvil_binary, AnvilOptions(ipc=True, chain_id=CHAIN_ID)) as node:
        yield node


@pytest.fixture(params=["http", "websocket", "ipc"])
async def chain(anvil: Anvil, request: pytest.FixtureRequest) -> AsyncIterator[Chain]:
    urls = {"http": anvil.http_url, "websocket": anvil.ws_url, "ipc": str(anvil.ipc_path)}
    options = ChainOptions(chain_id=CHAIN_ID, multicall3=ZERO_ADDRESS, poll_s=0.005, check_s=0.05)
    async with open_chain(urls[request.param], options) as made:
        await tell(made, "anvil_setCode", COUNTER, CODE)
        yield made


async def tell(chain: Chain, method: str, *params: object) -> object:
    return await chain.rpc.read(object, method, *params)


async def bump(chain: Chain) -> None:
    sender = (await chain.rpc.read(list[str], "eth_accounts"))[0]
    sent = await chain.rpc.read(Hash32, "eth_sendTransaction", {"from": sender, "to": COUNTER})
    await mined(chain.wire, sent)


async def test_what_heads_tell_is_the_chain_through_reorg_and_rollback(chain: Chain) -> None:
    canonical: list[str] = []
    base = (await chain.reader.head()).number

    async def follow() -> None:
        async with aclosing(chain.heads().follow()) as heads:
            async for head in heads:
                if head.reorg_from is not None:
                    del canonical[max(head.reorg_from - base + 1, 0) :]
                if head.reorg_from != head.block.number:
                    assert head.block.number == base + len(canonical)
                    canonical.append(head.block.hash)

    async def agrees() -> None:
        head = await chain.reader.head()
        there = [(await chain.reader.block(n)).hash for n in range(base, head.number + 1)]
        await eventually(lambda: canonical == there)

    async with asyncio.TaskGroup() as group:
        following = group.create_task(follow())
        await agrees()
        await tell(chain, "anvil_mine", hex(6))
        await agrees()
        await tell(chain, "anvil_reorg", 3, [])
        await agrees()
        await tell(chain, "anvil_rollback", 2)
        await agrees()
        await tell(chain, "anvil_mine", hex(4))
        await agrees()
        following.cancel()
    assert len(canonical) == 1 + 6 - 2 + 4


async def test_logs_come_once_each_in_order(chain: Chain) -> None:
    told: list[int] = []

    async def follow() -> None:
        async with aclosing(chain.logs(WANTED).follow()) as logs:
            async for log in logs:
                assert (log.address, log.topics) == (COUNTER, tuple(WANTED.topics))
                told.append(log.block_number)

    async with asyncio.TaskGroup() as group:
        following = group.create_task(follow())
        await asyncio.sleep(0.1)
        first = (await chain.reader.head()).number + 1
        for _ in range(5):
            await bump(chain)
        await eventually(lambda: len(told) >= 5)
        following.cancel()
    assert told == list(range(first, first + 5))


async def test_a_frozen_node_is_noticed_and_followed_again_when_it_thaws(anvil: Anvil) -> None:
    options = ChainOptions(
        chain_id=CHAIN_ID,
        multicall3=ZERO_ADDRESS,
        check_s=0.05,
        retry=RetryPolicy(timeout_s=0.2, budget_s=0.0),
    )
    trouble: list[Trouble] = []
    told: list[int] = []

    async def follow(chain: Chain) -> None:
        stream = chain.heads(report=lambda kind, _: trouble.append(kind))
        async with aclosing(stream.follow()) as heads:
            async for head in heads:
                told.append(head.block.number)  # noqa: PERF401 - the test watches it grow

    async with open_chain(anvil.ws_url, options) as chain, asyncio.TaskGroup() as group:
        following = group.create_task(follow(chain))
        await eventually(lambda: told == [0])
        os.kill(anvil.pid, signal.SIGSTOP)
        try:
            await eventually(lambda: Trouble.LOST in trouble)
        finally:
            os.kill(anvil.pid, signal.SIGCONT)
        await eventually(lambda: trouble[-1] is Trouble.RESUMED)
        await tell(chain, "anvil_mine", hex(3))
        await eventually(lambda: told == [0, 1, 2, 3])
        following.cancel()
