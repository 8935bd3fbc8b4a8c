"""Requests that are written before the call returns, over both kinds of socket that push."""

import asyncio
import json
import os

import aiohttp
import pytest
from aiohttp import web

from keeper.chain.background import Background
from keeper.chain.duplex import DuplexTransport
from keeper.chain.endpoint import parse_endpoint
from keeper.chain.frames import text_frame
from keeper.chain.jsonrpc import NodeError, Request
from keeper.chain.net import connector
from keeper.chain.quick_websocket import QuickWebSocket
from keeper.chain.subscriptions import Subscriptions
from keeper.core.primed import post

ASKED = Request(method="eth_echo", params=("0xaa",))
LONG = Request(method="eth_echo", params=("0x" + "ab" * 40_000,))
PUSH = b'{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x1","result":{}}}'


class IpcNode:
    """A Unix socket that answers each request with its first parameter."""

    def __init__(self):
        self.served = asyncio.Event()
        self.served.set()

    async def serve(self, reader, writer):
        self.served.clear()
        while line := await reader.readline():
            request = json.loads(line)
            if request["method"] == "push":
                writer.write(PUSH + b"\n")
            reply = {"jsonrpc": "2.0", "id": request["id"], "result": request["params"][0]}
            writer.write(json.dumps(reply).encode() + b"\n")
        writer.close()
        await writer.wait_closed()
        self.served.set()


async def websocket_node(request):
    stream = web.WebSocketResponse()
    await stream.prepare(request)
    async for message in stream:
        asked = json.loads(message.data)
        if asked["method"] == "push":
            await stream.send_str(PUSH.decode())
        reply = {"jsonrpc": "2.0", "id": asked["id"], "result": asked["params"][0]}
        await stream.send_str(json.dumps(reply))
    return stream


@pytest.fixture(params=["ipc", "websocket"])
async def connect(request, tmp_path):
    """How to open a socket to a node of the kind."""
    async with Background() as background:
        if request.param == "ipc":
            node, path = IpcNode(), tmp_path / "node.ipc"
            server = await asyncio.start_unix_server(node.serve, path, limit=2**20)
            async with server:
                yield connector(parse_endpoint(str(path)), None, background)
                await node.served.wait()
            return
        app = web.Application()
        app.router.add_get("/", websocket_node)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        async with aiohttp.ClientSession(ws_response_class=QuickWebSocket) as session:
            yield connector(parse_endpoint(f"ws://127.0.0.1:{port}"), session, background)
        await runner.cleanup()


def _post(transport, request):
    return post(transport.prime(request))


async def test_what_is_posted_is_answered_like_what_is_asked(connect):
    transport = DuplexTransport("node", connect)
    asked = await transport.request(ASKED, timeout_s=30)
    posted = _post(transport, ASKED)
    assert posted is not None
    assert bytes(await posted) == bytes(asked) == b'"0xaa"'
    await transport.close()


async def test_what_the_kernel_does_not_take_at_once_arrives_whole_and_in_its_turn(connect):
    transport = DuplexTransport("node", connect)
    await transport.request(ASKED, timeout_s=30)
    posted = [_post(transport, LONG if i % 2 else ASKED) for i in range(40)]
    answers = [bytes(await one) for one in posted]
    assert answers == [b'"0xaa"', b'"0x' + b"ab" * 40_000 + b'"'] * 20
    await transport.close()


async def test_nothing_is_posted_before_a_socket_is_open_or_after_it_closed(connect):
    transport = DuplexTransport("node", connect)
    assert _post(transport, ASKED) is None
    await transport.request(ASKED, timeout_s=30)
    await transport.close()
    assert _post(transport, ASKED) is None


async def test_a_dry_post_writes_nothing_and_leaves_the_socket_as_it_was(connect):
    transport = DuplexTransport("node", connect)
    await transport.request(ASKED, timeout_s=30)
    assert transport.prime(ASKED).touch()
    assert bytes(await _post(transport, ASKED)) == b'"0xaa"'
    await transport.close()


async def test_what_is_primed_is_not_written_once_its_socket_is_gone(connect):
    transport = DuplexTransport("node", connect)
    await transport.request(ASKED, timeout_s=30)
    primed = transport.prime(ASKED)
    await transport.close()
    await transport.request(ASKED, timeout_s=30)
    assert (primed.write(), primed.touch()) == (False, False)
    await transport.close()


async def test_each_of_several_that_are_primed_has_its_own_answer_in_any_order(connect):
    transport = DuplexTransport("node", connect)
    await transport.request(ASKED, timeout_s=30)
    first, second = transport.prime(ASKED), transport.prime(LONG)
    answers = [post(second), post(first)]
    assert [bytes(await one)[:8] for one in answers] == [b'"0xababa', b'"0xaa"']
    await transport.close()


async def test_a_push_is_heard_before_it_is_queued_with_the_time_it_came(connect):
    subscriptions = Subscriptions("node", connect, timeout_s=30)
    heard = []
    subscriptions.tap = lambda message, at_ns: heard.append((message, at_ns))
    await subscriptions._transport.request(Request(method="push", params=("0x1",)), timeout_s=30)
    told = await subscriptions.next(5)
    assert (PUSH, told.at_ns) in heard
    assert told.at_ns > 0
    await subscriptions.close()


async def test_a_post_that_the_node_refuses_is_its_error(tmp_path):
    served = asyncio.Event()

    async def refuse(reader, writer):
        request = json.loads(await reader.readline())
        no = {"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32000, "message": "no"}}
        writer.write(b'{"jsonrpc":"2.0","id":%d,"result":"0x1"}\n' % request["id"])
        second = json.loads(await reader.readline())
        writer.write(json.dumps({**no, "id": second["id"]}).encode() + b"\n")
        await reader.read()
        writer.close()
        await writer.wait_closed()
        served.set()

    server = await asyncio.start_unix_server(refuse, tmp_path / "node.ipc")
    async with server, Background() as background:
        connect = connector(parse_endpoint(str(tmp_path / "node.ipc")), None, background)
        transport = DuplexTransport("node", connect)
        await transport.request(ASKED, timeout_s=30)
        assert await _post(transport, ASKED) == NodeError(code=-32000, message="no")
        await transport.close()
        await served.wait()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_text_frame_is_what_the_standard_describes(size):
    message = os.urandom(size).hex().encode()[:size]
    assert _read_frame(text_frame(message, os.urandom(4))) == message


def _read_frame(frame):
    """Read a masked frame byte by byte, as RFC 6455 describes it."""
    assert frame[0] == 0x81
    assert frame[1] & 0x80
    size, at = frame[1] & 0x7F, 2
    if size == 126:
        size, at = int.from_bytes(frame[2:4], "big"), 4
    elif size == 127:
        size, at = int.from_bytes(frame[2:10], "big"), 10
    mask, body = frame[at : at + 4], frame[at + 4 :]
    assert len(body) == size
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))
