"""Calls at one block: pinned as the node can, batched as the node bears, each failing alone."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from keeper.chain.call_batch import CallBatch
from keeper.chain.endpoint import parse_endpoint
from keeper.chain.errors import NodeRefusedError
from keeper.chain.http import HttpTransport
from keeper.chain.pinned import PinnedRpc
from keeper.chain.rpc import RetryPolicy, Rpc
from keeper.core.chain import BlockRef, Call, CallResult
from keeper.core.errors import StaleError, TransientError
from keeper.core.units import Hash32, address
from tests.support.fake_node import FakeNode, Raw, Refusal, block_hash, fake_node, header
from tests.support.instant_clock import InstantClock
from tests.support.multicall_answer import multicall

MULTICALL = address("0x" + "ca" * 20)
TARGET = address("0x" + "11" * 20)
FAILING = address("0x" + "ee" * 20)
BLOCK = BlockRef(
    number=5,
    hash=Hash32(block_hash(5)),
    parent_hash=Hash32(block_hash(4)),
    timestamp=1,
    base_fee=1,
    gas_used=0,
    gas_limit=30_000_000,
)
PIN = {"blockHash": BLOCK.hash, "requireCanonical": True}


def answer_alone(call: dict[str, str], _at: object = None) -> Any:
    """Echo the input; fail with revert data at one address."""
    if call["to"] == FAILING:
        return Refusal(code=3, message="execution reverted", data="0xbad0")
    return call["data"]


def chain_answer(largest: int = 10**9) -> Callable[[list[Any]], Any]:
    """Answer calls like a chain with Multicall3 that bears ``largest`` calls in one."""

    def answer(params: list[Any]) -> Any:
        call, at = params
        if call["to"] != MULTICALL:
            return answer_alone(call, at)
        return multicall(call["data"], answer_alone, largest=largest)

    return answer


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    async with fake_node() as made:
        made.answers["eth_call"] = chain_answer()
        made.answers["eth_getBlockByNumber"] = lambda params: header(int(params[0], 16))
        yield made


@pytest.fixture
async def pinned(node: FakeNode) -> AsyncIterator[PinnedRpc]:
    async with aiohttp.ClientSession() as session:
        transport = HttpTransport(parse_endpoint(node.url), session, now=lambda: 0.0)
        policy = RetryPolicy(timeout_s=30.0, budget_s=0.0)
        yield PinnedRpc(Rpc(transport, clock=InstantClock(), policy=policy))


def batch(pinned: PinnedRpc, chunk: int = 200) -> CallBatch:
    return CallBatch(pinned, multicall3=MULTICALL, chunk=chunk)


def calls(count: int) -> list[Call]:
    return [Call(to=TARGET, data=number.to_bytes(4, "big")) for number in range(count)]


def echoes(count: int) -> list[CallResult]:
    return [CallResult(success=True, data=call.data) for call in calls(count)]


async def test_calls_go_in_chunks_pinned_by_hash(node: FakeNode, pinned: PinnedRpc) -> None:
    assert await batch(pinned, chunk=10).run(calls(25), BLOCK) == echoes(25)
    assert [params[1] for _, params in node.asked] == [PIN] * 3


async def test_one_bad_call_fails_alone(pinned: PinnedRpc) -> None:
    asked = [*calls(2), Call(to=FAILING, data=b""), *calls(2)]
    bad = CallResult(success=False, data=b"\xba\xd0")
    assert await batch(pinned).run(asked, BLOCK) == [*echoes(2), bad, *echoes(2)]


async def test_a_single_call_does_without_multicall(node: FakeNode, pinned: PinnedRpc) -> None:
    assert await batch(pinned).run(calls(1), BLOCK) == echoes(1)
    assert node.asked[0][1][0]["to"] == TARGET
    assert await batch(pinned).run([], BLOCK) == []


async def test_capped_calls_go_alone_with_their_gas(node: FakeNode, pinned: PinnedRpc) -> None:
    capped = Call(to=TARGET, data=b"\x01", gas=50_000)
    found = await batch(pinned).run([*calls(2), capped], BLOCK)
    assert found == [*echoes(2), CallResult(success=True, data=b"\x01")]
    assert {"to": TARGET, "data": "0x01", "gas": hex(50_000)} in [
        params[0] for _, params in node.asked
    ]


@pytest.mark.parametrize(
    "words",
    [
        "invalid opcode: INVALID",
        "invalid jump destination",
        "stack underflow (0 <=> 1)",
        "stack limit reached 1024 (1023)",
        "return data out of bounds",
        "gas uint64 overflow",
        "max initcode size exceeded",
        "invalid input length",
        "bad elliptic curve pairing size",
        "out of gas",
    ],
)
async def test_however_a_call_ends_on_geth_it_fails_alone(
    node: FakeNode, pinned: PinnedRpc, words: str
) -> None:
    """What is called is anybody's contract, and may be a precompiled one."""
    node.answers["eth_call"] = lambda params: (
        Refusal(code=-32000, message=words) if params[0]["to"] == FAILING else params[0]["data"]
    )
    asked = [Call(to=call.to, data=call.data, gas=50_000) for call in calls(2)]
    found = await batch(pinned).run([*asked, Call(to=FAILING, data=b"", gas=50_000)], BLOCK)
    assert found == [*echoes(2), CallResult(success=False, data=b"")]


async def test_without_multicall_each_call_is_asked_in_one_batch(
    node: FakeNode, pinned: PinnedRpc
) -> None:
    node.answers["eth_call"] = lambda params: (
        "0x" if params[0]["to"] == MULTICALL else answer_alone(params[0])
    )
    assert await batch(pinned).run(calls(30), BLOCK) == echoes(30)


async def test_a_block_whose_state_is_pruned_says_nothing_of_how_much_the_node_bears(
    node: FakeNode, pinned: PinnedRpc
) -> None:
    whole, several = node.answers["eth_call"], batch(pinned)
    node.answers["eth_call"] = lambda _params: Refusal(
        code=-32603, message="State at block #5 is pruned"
    )
    with pytest.raises(StaleError, match="is pruned"):
        await several.run(calls(100), BLOCK)
    node.answers["eth_call"] = whole
    node.asked.clear()
    assert await several.run(calls(100), BLOCK) == echoes(100)
    assert len(node.asked) == 1


async def test_a_chunk_that_is_too_much_is_halved_and_the_size_remembered(
    node: FakeNode, pinned: PinnedRpc
) -> None:
    node.answers["eth_call"] = chain_answer(largest=20)
    runner = batch(pinned, chunk=100)
    assert await runner.run(calls(100), BLOCK) == echoes(100)
    node.asked.clear()
    assert await runner.run(calls(100), BLOCK) == echoes(100)
    assert len(node.asked) == 9


async def test_chunks_grow_again_after_errors_that_were_none_of_theirs(
    node: FakeNode, pinned: PinnedRpc
) -> None:
    runner = batch(pinned, chunk=100)
    for _ in range(5):
        node.faults.append(Refusal(code=-32000, message="method handler crashed"))
        assert await runner.run(calls(100), BLOCK) == echoes(100)
    for _ in range(120):
        assert await runner.run(calls(100), BLOCK) == echoes(100)
    node.asked.clear()
    assert await runner.run(calls(100), BLOCK) == echoes(100)
    assert len(node.asked) == 1


async def test_a_call_that_failed_silently_in_company_is_asked_alone(
    node: FakeNode, pinned: PinnedRpc
) -> None:
    starved = Call(to=TARGET, data=b"starved")
    node.answers["eth_call"] = lambda params: (
        multicall(params[0]["data"], answer_alone, starve=starved.data)
        if params[0]["to"] == MULTICALL
        else answer_alone(params[0])
    )
    found = await batch(pinned).run([*calls(3), starved], BLOCK)
    assert found == [*echoes(3), CallResult(success=True, data=b"starved")]


async def test_an_unknown_block_is_stale(node: FakeNode, pinned: PinnedRpc) -> None:
    node.answers["eth_call"] = lambda _: Refusal(code=-32001, message="Resource not found")
    with pytest.raises(StaleError, match="eth_call"):
        await batch(pinned).run(calls(3), BLOCK)


async def test_an_outage_is_not_a_failed_call(node: FakeNode, pinned: PinnedRpc) -> None:
    node.answers["eth_call"] = lambda _: Refusal(code=-32000, message="server overloaded")
    with pytest.raises(TransientError, match="overloaded"):
        await batch(pinned).run(calls(1), BLOCK)


async def test_a_refusal_is_not_a_failed_call(node: FakeNode, pinned: PinnedRpc) -> None:
    node.answers["eth_call"] = lambda _: Refusal(code=-32601, message="no eth_call for you")
    with pytest.raises(NodeRefusedError, match="no eth_call for you"):
        await batch(pinned).run(calls(1), BLOCK)


@pytest.mark.parametrize(
    "too_much",
    [
        Raw(body="request entity too large", status=413),
        Raw(body='{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batch too large"}}'),
    ],
)
@pytest.mark.parametrize("gas", [None, 50_000])
async def test_what_the_node_finds_too_large_is_sent_in_parts(
    node: FakeNode, pinned: PinnedRpc, too_much: Raw, gas: int | None
) -> None:
    node.faults.extend([too_much] * 2)
    asked = [Call(to=call.to, data=call.data, gas=gas) for call in calls(40)]
    assert await batch(pinned).run(asked, BLOCK) == echoes(40)


def number_only(params: list[Any]) -> Any:
    if isinstance(params[1], dict):
        return Refusal(code=-32602, message="invalid argument 1: hex string expected")
    return chain_answer()(params)


async def test_a_node_that_cannot_pin_by_hash_is_checked_by_number(
    node: FakeNode, pinned: PinnedRpc
) -> None:
    node.answers["eth_call"] = number_only
    runner = batch(pinned)
    assert await runner.run(calls(3), BLOCK) == echoes(3)
    node.asked.clear()
    assert await runner.run(calls(3), BLOCK) == echoes(3)
    assert node.methods() == ["eth_call", "eth_getBlockByNumber"]


async def test_by_number_another_block_at_that_height_is_stale(
    node: FakeNode, pinned: PinnedRpc
) -> None:
    node.answers["eth_call"] = number_only
    node.answers["eth_getBlockByNumber"] = lambda params: header(int(params[0], 16), fork="b")
    with pytest.raises(StaleError, match=f"block 5: expected {BLOCK.hash}, found"):
        await batch(pinned).run(calls(3), BLOCK)
    node.answers["eth_getBlockByNumber"] = lambda _: None
    with pytest.raises(StaleError, match="found no block"):
        await batch(pinned).run(calls(3), BLOCK)
