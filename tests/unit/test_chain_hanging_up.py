"""A node that hangs up, at whatever moment, is lost and nothing else."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from keeper.chain.background import Background
from keeper.chain.duplex import DuplexTransport
from keeper.chain.endpoint import parse_endpoint
from keeper.chain.jsonrpc import NodeError, Request
from keeper.chain.net import open_net
from keeper.core.errors import TransientError

CHAIN_ID = Request(method="eth_chainId")
PING, NO_JSON = b"\x89\x00", b"\x81\x02no"


@asynccontextmanager
async def node(misbehave: Callable[[web.Request], Awaitable[Any]]) -> AsyncIterator[Any]:
    """Give the way to a node that misbehaves at the first request, and answers those after it."""
    asked: list[object] = []

    async def serve(request: web.Request) -> web.WebSocketResponse:
        stream = web.WebSocketResponse()
        await stream.prepare(request)
        async for message in stream:
            asked.append(message.data)
            if len(asked) == 1:
                await misbehave(request)
            else:
                number = message.json()["id"]
                await stream.send_json({"jsonrpc": "2.0", "id": number, "result": "0x1"})
        return stream

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(runner.cleanup)
        net = await stack.enter_async_context(open_net())
        background = await stack.enter_async_context(Background())
        endpoint = parse_endpoint(f"ws://{host}:{port}")
        transport = DuplexTransport(endpoint.label, net.connector(endpoint, background))
        stack.push_async_callback(transport.close)
        yield transport


async def ping_and_speak_no_json(request: web.Request) -> None:
    """Have the client hang up before it has answered the ping."""
    assert request.transport is not None
    request.transport.write(PING + NO_JSON)


async def ping_and_hang_up(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.write(PING * 100)
    request.transport.close()


@pytest.mark.parametrize("misbehave", [ping_and_speak_no_json, ping_and_hang_up])
async def test_a_ping_that_can_not_be_answered_any_more_ends_the_connection_alone(
    misbehave: Callable[[web.Request], Awaitable[None]],
) -> None:
    async with node(misbehave) as transport:
        with pytest.raises(TransientError):
            await transport.request(CHAIN_ID, timeout_s=30.0)
        found = await transport.request(CHAIN_ID, timeout_s=30.0)
    assert not isinstance(found, NodeError)
    assert bytes(found) == b'"0x1"'
