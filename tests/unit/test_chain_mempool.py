"""Pending transactions: whole ones, hashes alone, and a connection that comes and goes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from keeper.chain.mempool import PendingStream
from keeper.chain.rpc import RetryPolicy
from keeper.chain.session import ChainOptions, open_chain
from keeper.core.pending import PendingTransaction
from keeper.core.units import ZERO_ADDRESS
from tests.support.eventually import eventually
from tests.support.fake_node import FakeNode, Refusal, fake_node
from tests.unit.test_chain_heads import HurriedClock

WANTED = bytes.fromhex("202ee0ed")


def transaction(number: int, data: str = "0x202ee0ed00", to: str | None = "0x" + "AB" * 20) -> Any:
    return {"hash": f"0x{number:064x}", "from": "0x" + "CD" * 20, "to": to, "input": data}


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    async with fake_node() as made:
        yield made


@asynccontextmanager
async def listening(node: FakeNode) -> AsyncIterator[list[PendingTransaction]]:
    options = ChainOptions(
        chain_id=1, multicall3=ZERO_ADDRESS, retry=RetryPolicy(timeout_s=30.0, budget_s=0.1)
    )
    told: list[PendingTransaction] = []

    async def read(stream: PendingStream) -> None:
        async with aclosing(stream.follow()) as found:
            async for one in found:
                told.append(one)  # noqa: PERF401 - seen while they come

    async with open_chain(node.ws_url, options, clock=HurriedClock()) as chain:
        stream = chain.pending(frozenset({WANTED}))
        assert stream is not None
        task = asyncio.create_task(read(stream))
        await eventually(lambda: len(node.subscribed) > 0)
        yield told
        task.cancel()


async def test_whole_transactions_are_asked_for_and_only_wanted_calls_told(node: FakeNode) -> None:
    async with listening(node) as told:
        assert node.subscribed == [["newPendingTransactions", True]]
        await node.push("0x1", transaction(1))
        await node.push("0x1", transaction(2, data="0xa9059cbb00"))
        await node.push("0x1", transaction(3, data="0x"))
        await node.push("0x1", transaction(4, to=None))
        await eventually(lambda: len(told) == 2)
    assert told[0] == PendingTransaction(
        hash=f"0x{1:064x}",  # type: ignore[arg-type]
        sender="0x" + "cd" * 20,  # type: ignore[arg-type]
        to="0x" + "ab" * 20,  # type: ignore[arg-type]
        data=bytes.fromhex("202ee0ed00"),
    )
    assert told[1].to is None


async def test_a_node_that_tells_hashes_is_asked_for_each_transaction(node: FakeNode) -> None:
    known = {one["hash"]: one for one in (transaction(1), transaction(3))}
    node.answers["eth_getTransactionByHash"] = lambda params: known.get(params[0])
    async with listening(node) as told:
        for number in (1, 2, 3):
            await node.push("0x1", f"0x{number:064x}")
        await eventually(lambda: len(told) == 2)
    assert [one.hash for one in told] == list(known)


async def test_a_node_without_whole_transactions_is_asked_for_hashes(node: FakeNode) -> None:
    node.faults.extend([None, Refusal(code=-32602, message="too many arguments")])  # type: ignore[list-item]
    async with listening(node) as told:
        await eventually(lambda: ["newPendingTransactions"] in node.subscribed)
        assert not told


async def test_a_lost_connection_is_opened_again(node: FakeNode) -> None:
    async with listening(node) as told:
        await node.push("0x1", transaction(1))
        await eventually(lambda: len(told) == 1)
        await node.drop_sockets()
        await eventually(lambda: len(node.subscribed) == 2)
        await node.push("0x2", transaction(2))
        await eventually(lambda: len(told) == 2)


async def test_a_transaction_of_another_form_costs_the_connection_and_no_more(
    node: FakeNode,
) -> None:
    async with listening(node) as told:
        await node.push("0x1", {"hash": 5})
        await eventually(lambda: len(node.subscribed) == 2)
        await node.push("0x2", transaction(2))
        await eventually(lambda: len(told) == 1)
