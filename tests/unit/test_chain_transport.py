"""Every way in which a node can fail to answer is a TransientError that names the node."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import aiohttp
import pytest

from keeper.chain.background import Background
from keeper.chain.duplex import DuplexTransport
from keeper.chain.endpoint import parse_endpoint
from keeper.chain.errors import RateLimitedError
from keeper.chain.http import HttpTransport, retry_after_s
from keeper.chain.jsonrpc import LONGEST_MESSAGE, NodeError, Request
from keeper.chain.net import connector
from keeper.chain.records import SimulatedCallRecord, SimulatedErrorRecord
from keeper.chain.simulator import simulated
from keeper.chain.transport import Transport
from keeper.core.errors import InvariantError, TransientError
from keeper.devnet.rpc import Rpc
from tests.support.fake_node import (
    CUT_JSON,
    EMPTY,
    HTML,
    Drop,
    FakeNode,
    Fault,
    Raw,
    Refusal,
    Stall,
    WrongId,
    fake_node,
)
from tests.support.recursion import usual_recursion

CHAIN_ID = Request(method="eth_chainId")
SECRET = "/v3/k3y"  # noqa: S105 - made up
TIMEOUT_S = 30.0
DEEP = "[" * 100_000 + "]" * 100_000


@asynccontextmanager
async def http_to(url: str) -> AsyncIterator[Transport]:
    async with aiohttp.ClientSession() as session:
        yield HttpTransport(parse_endpoint(url), session, now=lambda: 0.0)


@asynccontextmanager
async def socket_to(url: str) -> AsyncIterator[DuplexTransport]:
    async with aiohttp.ClientSession() as session, Background() as background:
        endpoint = parse_endpoint(url)
        transport = DuplexTransport(endpoint.label, connector(endpoint, session, background))
        yield transport
        await transport.close()


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    async with fake_node() as made:
        yield made


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (HTML, "found HTML"),
        (CUT_JSON, "found JSON cut short"),
        (EMPTY, "found an empty body"),
        (Raw(body="ok"), "found 'ok'"),
        (Raw(body=f'{{"id":1,"result":{DEEP}}}'), "expected a JSON-RPC reply"),
        (Raw(body='{"jsonrpc":"2.0","id":1}'), "found neither"),
        (Raw(body="bad gateway", status=502), "expected HTTP 200, found 502"),
        (Raw(body="", status=429), "expected HTTP 200, found 429"),
        (WrongId(), "expected the reply to request 1, found id 1001"),
        (Drop(), "found the connection closed"),
    ],
)
async def test_http_faults_are_transient_and_keep_the_key_secret(
    node: FakeNode, fault: Fault, found: str
) -> None:
    node.faults.append(fault)
    async with http_to(node.url + SECRET) as transport:
        with usual_recursion(), pytest.raises(TransientError, match=found) as caught:
            await transport.request(CHAIN_ID, timeout_s=TIMEOUT_S)
    assert str(caught.value).startswith(node.url)
    assert "k3y" not in str(caught.value)


@pytest.mark.parametrize("fault", [
    Refusal(code=-32603, message="no account: error sending request for url (https://n.io/v3/k3y)"),
    Raw(body='{"id":null,"error":{"code":1,"message":"for url (https://n.io/v3/k3y)"}}'),
])  # fmt: skip
async def test_an_error_that_names_the_node_behind_keeps_its_key_secret(
    node: FakeNode, fault: Fault
) -> None:
    """As a fork's does of the node that it forks."""
    node.faults.extend([fault] * 2)
    async with http_to(node.url) as transport:
        (found,) = await transport.batch([CHAIN_ID], timeout_s=TIMEOUT_S)
        alone = await transport.request(CHAIN_ID, timeout_s=TIMEOUT_S)
    for error in (found, alone):
        assert isinstance(error, NodeError)
        assert error.message.endswith("for url (https://n.io)")


async def test_a_local_node_that_names_the_node_behind_keeps_its_key_secret(
    node: FakeNode,
) -> None:
    node.answers["evm_mine"] = lambda _: Refusal(code=-32603, message="no (https://n.io/v3/k3y)")
    with closing(Rpc(node.url)) as rpc, pytest.raises(InvariantError, match=r"n\.io") as found:
        await asyncio.to_thread(rpc.call, "evm_mine")
    assert "k3y" not in str(found.value)


async def test_a_stalled_node_is_given_up_after_the_timeout(node: FakeNode) -> None:
    node.faults.append(Stall())
    async with http_to(node.url) as transport:
        with pytest.raises(TransientError, match=r"within 0\.05 s"):
            await transport.request(CHAIN_ID, timeout_s=0.05)


async def test_nobody_listening_is_transient() -> None:
    async with http_to("http://127.0.0.1:1/k3y") as transport:
        with pytest.raises(TransientError, match=r"127\.0\.0\.1:1: expected to connect") as caught:
            await transport.request(CHAIN_ID, timeout_s=TIMEOUT_S)
    assert "k3y" not in str(caught.value)


async def test_an_unknown_host_is_transient() -> None:
    async with http_to("http://no-such-host.invalid/k3y") as transport:
        with pytest.raises(TransientError, match=r"no-such-host\.invalid: expected"):
            await transport.request(CHAIN_ID, timeout_s=TIMEOUT_S)


async def test_an_http_refusal_is_a_definite_no(node: FakeNode) -> None:
    node.faults.append(Raw(body="forbidden", status=403))
    async with http_to(node.url) as transport:
        reply = await transport.request(CHAIN_ID, timeout_s=TIMEOUT_S)
    assert reply == NodeError(code=403, message="HTTP 403")


async def test_an_error_in_json_counts_whatever_the_http_status(node: FakeNode) -> None:
    body = '{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"too big"}}'
    node.faults.append(Raw(body=body, status=413))
    async with http_to(node.url) as transport:
        reply = await transport.request(CHAIN_ID, timeout_s=TIMEOUT_S)
    assert reply == NodeError(code=-32600, message="too big")


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_kept(node: FakeNode, status: int) -> None:
    node.faults.append(Raw(body="", status=status, headers={"Retry-After": "7"}))
    async with http_to(node.url) as transport:
        with pytest.raises(RateLimitedError) as caught:
            await transport.request(CHAIN_ID, timeout_s=TIMEOUT_S)
    assert caught.value.retry_after_s == 7.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("soon", None),
        ("²", None),
        ("Thu, 01 Jan 99999999999999999999 00:00:01 GMT", None),
        ("Thu, 01 Jan 1970 00:01:40 +99999999999999999999", None),
    ],
)
def test_retry_after_may_be_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, now=60.0) == seconds


async def test_batch_replies_are_put_in_the_order_asked(node: FakeNode) -> None:
    node.answers["echo"] = lambda params: params[0]
    requests = [Request(method="echo", params=(i,)) for i in range(5)]
    for url, open_transport in ((node.url, http_to), (node.ws_url, socket_to)):
        async with open_transport(url) as transport:
            replies = await transport.batch(requests, timeout_s=TIMEOUT_S)
            assert [bytes(r) for r in replies if not isinstance(r, NodeError)] == [
                b"0", b"1", b"2", b"3", b"4",
            ]  # fmt: skip
            assert await transport.batch([], timeout_s=TIMEOUT_S) == []


async def test_a_refused_batch_refuses_each_request(node: FakeNode) -> None:
    body = '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batch too large"}}'
    node.faults.append(Raw(body=body))
    async with http_to(node.url) as transport:
        replies = await transport.batch([CHAIN_ID, CHAIN_ID], timeout_s=TIMEOUT_S)
    assert replies == [NodeError(code=-32600, message="batch too large")] * 2


async def test_a_batch_with_a_reply_missing_is_transient(node: FakeNode) -> None:
    node.faults.append(Raw(body='[{"jsonrpc":"2.0","id":1,"result":"0x1"}]'))
    async with http_to(node.url) as transport:
        with pytest.raises(TransientError, match="expected the reply to request 2"):
            await transport.batch([CHAIN_ID, CHAIN_ID], timeout_s=TIMEOUT_S)


@pytest.mark.parametrize("fault", [HTML, CUT_JSON, WrongId(), Drop(), Raw(body="[1]")])
async def test_socket_faults_are_transient_and_the_next_request_connects_anew(
    node: FakeNode, fault: Fault
) -> None:
    node.faults.append(fault)
    async with socket_to(node.ws_url) as transport:
        with pytest.raises(TransientError):
            await transport.request(CHAIN_ID, timeout_s=TIMEOUT_S)
        assert await transport.request(CHAIN_ID, timeout_s=TIMEOUT_S)
    assert node.connections == 2


async def test_a_late_answer_on_a_socket_disturbs_nobody(node: FakeNode) -> None:
    async with socket_to(node.ws_url) as transport:
        node.faults.append(Stall())
        with pytest.raises(TransientError, match="within"):
            await transport.request(CHAIN_ID, timeout_s=0.05)
        await node.sockets[0].send_str('{"jsonrpc":"2.0","id":1,"result":"0xbad"}')
        reply = await transport.request(CHAIN_ID, timeout_s=TIMEOUT_S)
        assert not isinstance(reply, NodeError)
        assert bytes(reply) == b'"0x1"'
    assert node.connections == 1


async def test_many_requests_share_a_socket(node: FakeNode) -> None:
    node.answers["echo"] = lambda params: params[0]
    async with socket_to(node.ws_url) as transport, asyncio.TaskGroup() as group:
        asked = [
            group.create_task(
                transport.request(Request(method="echo", params=(i,)), timeout_s=TIMEOUT_S)
            )
            for i in range(50)
        ]
    assert [bytes(task.result()) for task in asked] == [str(i).encode() for i in range(50)]
    assert node.connections == 1


async def test_a_socket_refused_by_http_is_transient(node: FakeNode) -> None:
    async with aiohttp.ClientSession() as session, Background() as background:
        endpoint = parse_endpoint("ws://127.0.0.1:1/k3y")
        transport = DuplexTransport(endpoint.label, connector(endpoint, session, background))
        with pytest.raises(TransientError, match=r"ws://127\.0\.0\.1:1: expected to connect"):
            await transport.request(CHAIN_ID, timeout_s=TIMEOUT_S)


async def test_an_error_about_no_request_goes_to_those_that_wait(node: FakeNode) -> None:
    body = '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid request"}}'
    node.faults.append(Raw(body=body))
    async with socket_to(node.ws_url) as transport:
        reply = await transport.request(CHAIN_ID, timeout_s=TIMEOUT_S)
    assert reply == NodeError(code=-32600, message="Invalid request")


async def test_a_refusal_is_an_answer(node: FakeNode) -> None:
    node.faults.append(Refusal(code=3, message="execution reverted", data="0xdeadbeef"))
    async with http_to(node.url) as transport:
        reply = await transport.request(CHAIN_ID, timeout_s=TIMEOUT_S)
    assert reply == NodeError(code=3, message="execution reverted", data="0xdeadbeef")


async def test_of_an_error_without_an_end_the_begin_is_kept(node: FakeNode) -> None:
    """It is the detail of a rejection: of each account in memory, in the books and on the page."""
    endless = "execution reverted: " + "a" * 2**20
    node.faults.append(Refusal(code=3, message=endless))
    async with http_to(node.url) as transport:
        reply = await transport.request(CHAIN_ID, timeout_s=TIMEOUT_S)
    assert isinstance(reply, NodeError)
    assert reply.message == endless[:LONGEST_MESSAGE]
    record = SimulatedCallRecord(
        status="0x0", gas_used="0x1", error=SimulatedErrorRecord(message=endless)
    )
    assert simulated(record).error == endless[:LONGEST_MESSAGE]
