"""A transaction is sent once, and a refusal is believed only when the node has it not."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from keeper.chain.background import Background
from keeper.chain.duplex import DuplexTransport
from keeper.chain.endpoint import parse_endpoint
from keeper.chain.errors import NodeRefusedError
from keeper.chain.http import HttpTransport
from keeper.chain.jsonrpc import NodeError, Request
from keeper.chain.net import open_net
from keeper.chain.rpc import RetryPolicy, Rpc
from keeper.chain.wire import NodeWire
from keeper.core.errors import TransientError
from keeper.core.units import Hash32
from keeper.evm.hashing import keccak_hash
from tests.support.eventually import eventually
from tests.support.fake_node import Drop, FakeNode, Raw, Refusal, Stall, block_hash, fake_node
from tests.support.instant_clock import InstantClock

RAW = b"\x02signed"
OURS = keccak_hash(RAW)


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    async with fake_node() as made:
        made.answers["eth_sendRawTransaction"] = lambda _: OURS
        made.answers["eth_getTransactionByHash"] = lambda _: None
        yield made


@pytest.fixture
async def wire(node: FakeNode) -> AsyncIterator[NodeWire]:
    async with aiohttp.ClientSession() as session:
        transport = HttpTransport(parse_endpoint(node.url), session, now=lambda: 0.0)
        yield NodeWire(Rpc(transport, clock=InstantClock(), policy=RetryPolicy(timeout_s=30.0)))


async def test_a_send_returns_the_hash(node: FakeNode, wire: NodeWire) -> None:
    assert await wire.send_raw(RAW) == OURS
    assert node.asked == [("eth_sendRawTransaction", ["0x" + RAW.hex()])]


@pytest.mark.parametrize("fault", [Drop(), Raw(body="", status=429), Raw(body="", status=500)])
async def test_a_send_is_never_repeated(node: FakeNode, wire: NodeWire, fault: Raw) -> None:
    node.faults.append(fault)
    with pytest.raises(TransientError):
        await wire.send_raw(RAW)
    assert node.methods() == ["eth_sendRawTransaction"]


@pytest.mark.parametrize(
    "words", ["already known", "transaction already imported", "nonce too low"]
)
async def test_a_refusal_of_what_the_node_has_is_a_success(
    node: FakeNode, wire: NodeWire, words: str
) -> None:
    node.answers["eth_sendRawTransaction"] = lambda _: Refusal(code=-32000, message=words)
    node.answers["eth_getTransactionByHash"] = lambda params: {"hash": params[0]}
    assert await wire.send_raw(RAW) == OURS


@pytest.mark.parametrize(
    "words",
    [
        "already known",
        "nonce too low",
        "replacement transaction underpriced",
        "Insufficient funds for gas * price + value",
        "max fee per gas less than block base fee",
    ],
)
async def test_a_refusal_of_what_the_node_has_not_keeps_its_reason(
    node: FakeNode, wire: NodeWire, words: str
) -> None:
    node.answers["eth_sendRawTransaction"] = lambda _: Refusal(code=-32003, message=words)
    with pytest.raises(NodeRefusedError) as found:
        await wire.send_raw(RAW)
    assert found.value.reason == words


@pytest.mark.parametrize(
    "error",
    [
        Refusal(code=-32603, message="Internal error"),
        Refusal(code=-32000, message="request timed out"),
        Refusal(code=-32603, message="request failed or timed out"),
        Refusal(code=-32000, message="context deadline exceeded"),
        Refusal(code=-32000, message="upstream connect error or disconnect before headers"),
        Refusal(code=-32000, message="service temporarily unavailable"),
    ],
)
async def test_an_error_of_the_way_to_the_node_leaves_it_open_whether_it_has_the_transaction(
    node: FakeNode, wire: NodeWire, error: Refusal
) -> None:
    node.answers["eth_sendRawTransaction"] = lambda _: error
    with pytest.raises(TransientError):
        await wire.send_raw(RAW)
    assert node.methods() == ["eth_sendRawTransaction", "eth_getTransactionByHash"]


@pytest.mark.parametrize("is_posted", [False, True])
async def test_an_error_that_names_no_request_is_no_refusal_of_a_transaction(
    node: FakeNode, *, is_posted: bool
) -> None:
    """As nodes answer to a batch that is too large, on the socket that a send waits on too."""
    error = '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batch too large"}}'
    async with open_net() as net, Background() as background:
        endpoint = parse_endpoint(node.ws_url)
        transport = DuplexTransport(endpoint.label, net.connector(endpoint, background))
        rpc = Rpc(transport, clock=InstantClock(), policy=RetryPolicy(timeout_s=30.0))
        await rpc.ask("eth_chainId")
        node.faults += [Stall(), Raw(body=error)]
        wire = NodeWire(rpc)
        posted = wire.post_raw(RAW) if is_posted else None
        sending = asyncio.ensure_future(posted or wire.send_raw(RAW))
        await eventually(lambda: "eth_sendRawTransaction" in node.methods())
        reads = await rpc.ask_many([Request(method="eth_blockNumber")] * 2)
        assert reads == [NodeError(code=-32600, message="batch too large")] * 2
        with pytest.raises(TransientError, match="found one to no request: batch too large"):
            await sending
        await transport.close()


async def test_a_hash_that_is_not_ours_is_not_believed(node: FakeNode, wire: NodeWire) -> None:
    node.answers["eth_sendRawTransaction"] = lambda _: block_hash(1)
    with pytest.raises(TransientError, match=f"expected hash {OURS}, found"):
        await wire.send_raw(RAW)


def receipt(params: list[str]) -> dict[str, Any]:
    return {
        "transactionHash": params[0],
        "blockNumber": "0x5",
        "blockHash": block_hash(5),
        "transactionIndex": "0x2",
        "status": "0x0",
        "gasUsed": "0x5208",
        "effectiveGasPrice": "0x7",
        "l1Fee": "0x64",
        "logs": [],
    }


async def test_a_receipt_tells_the_l1_fee_of_a_rollup(node: FakeNode, wire: NodeWire) -> None:
    node.answers["eth_getTransactionReceipt"] = receipt
    found = await wire.receipt(OURS)
    assert found is not None
    assert (found.block_number, found.index, found.success) == (5, 2, False)
    assert (found.gas_used, found.effective_gas_price, found.l1_fee) == (21_000, 7, 100)


@pytest.mark.parametrize("field", ["status", "effectiveGasPrice", "gasUsed"])
async def test_a_receipt_without_its_outcome_or_cost_is_not_believed(
    node: FakeNode, wire: NodeWire, field: str
) -> None:
    def cut(params: list[str]) -> dict[str, Any]:
        return {key: told for key, told in receipt(params).items() if key != field}

    node.answers["eth_getTransactionReceipt"] = cut
    with pytest.raises(TransientError, match=f"missing required field `{field}`"):
        await wire.receipt(OURS)


async def test_the_receipt_of_another_transaction_is_not_believed(
    node: FakeNode, wire: NodeWire
) -> None:
    node.answers["eth_getTransactionReceipt"] = lambda _: receipt([block_hash(1)])
    with pytest.raises(TransientError, match=f"expected the receipt of {OURS}, found"):
        await wire.receipt(OURS)


async def test_no_receipt_is_none(node: FakeNode, wire: NodeWire) -> None:
    node.answers["eth_getTransactionReceipt"] = lambda _: None
    assert await wire.receipt(Hash32(OURS)) is None


async def test_the_nonce_is_asked_with_or_without_pending(node: FakeNode, wire: NodeWire) -> None:
    node.answers["eth_getTransactionCount"] = lambda p: "0x9" if p[1] == "pending" else "0x7"
    sender = RAW.hex()
    assert await wire.nonce(sender, pending=True) == 9  # type: ignore[arg-type]
    assert await wire.nonce(sender, pending=False) == 7  # type: ignore[arg-type]
