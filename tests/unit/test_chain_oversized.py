"""Whoever answers without an end is hung up on: nobody's memory is filled by it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from keeper.chain.background import Background
from keeper.chain.bounded import MOST_BYTES
from keeper.chain.duplex import DuplexTransport
from keeper.chain.endpoint import parse_endpoint
from keeper.chain.errors import OversizedError
from keeper.chain.http import HttpTransport
from keeper.chain.jsonrpc import Request
from keeper.chain.net import connector, open_net
from keeper.chain.relay import Relay
from keeper.chain.web3signer import SignerDesk
from keeper.core.errors import ConfigError

CHAIN_ID = Request(method="eth_chainId")
PART = b"0" * 2**20
TEXT, MORE, LAST = 0x01, 0x00, 0x80
TIMEOUT_S = 60.0

Say = Callable[[web.Request], Awaitable[Any]]


def framed(first: int, size: int) -> bytes:
    return bytes((first, 127)) + size.to_bytes(8, "big")


async def answer_for_ever(request: web.Request) -> web.StreamResponse:
    """Answer over HTTP until the other side hangs up."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    with suppress(ConnectionError):
        while True:
            await answer.write(PART)
    return answer


async def one_huge_frame(request: web.Request) -> None:
    """Say that much is to come, and send a little of it."""
    assert request.transport is not None
    request.transport.write(framed(LAST | TEXT, MOST_BYTES + 1) + PART)


async def frames_for_ever(request: web.Request) -> None:
    """Send frame after frame of one message."""
    first = TEXT
    while request.transport is not None and not request.transport.is_closing():
        request.transport.write(framed(first, len(PART)) + PART)
        first = MORE
        await asyncio.sleep(0)


@asynccontextmanager
async def served(answer: Say) -> AsyncIterator[str]:
    """Give the host and port of a node that answers every request so."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def pushed(say: Say) -> AsyncIterator[str]:
    """Give the host and port of a node that does so at the first message of each socket."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        stream = web.WebSocketResponse()
        await stream.prepare(request)
        await stream.receive()
        with suppress(ConnectionError):
            await say(request)
        await stream.receive()
        return stream

    async with served(serve) as place:
        yield place


async def test_an_answer_over_http_has_a_greatest_length() -> None:
    async with served(answer_for_ever) as place, aiohttp.ClientSession() as session:
        endpoint = parse_endpoint(f"http://{place}/v3/k3y")
        transport = HttpTransport(endpoint, session, now=lambda: 0.0)
        with pytest.raises(OversizedError, match=f"at most {MOST_BYTES} bytes, found") as found:
            await transport.request(CHAIN_ID, timeout_s=TIMEOUT_S)
    assert "k3y" not in str(found.value)


@pytest.mark.parametrize("say", [one_huge_frame, frames_for_ever])
async def test_a_message_of_a_websocket_has_a_greatest_length(say: Say) -> None:
    async with pushed(say) as place, open_net() as net, Background() as background:
        endpoint, lost = parse_endpoint(f"ws://{place}"), list[str]()
        transport = DuplexTransport(
            endpoint.label, net.connector(endpoint, background), lost=lost.append
        )
        with pytest.raises(OversizedError, match=f"at most {MOST_BYTES} bytes, found more"):
            await transport.request(CHAIN_ID, timeout_s=TIMEOUT_S)
        assert [f"ws://{place}: expected a reply of at most {MOST_BYTES} bytes, found more"] == lost
        await transport.close()


async def test_a_message_of_a_local_socket_has_a_greatest_length(tmp_path: Path) -> None:
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        with suppress(ConnectionError):
            while True:
                writer.write(PART)
                await writer.drain()
        writer.close()
        over.set()

    path = tmp_path / "node.ipc"
    async with (
        await asyncio.start_unix_server(serve, path),
        aiohttp.ClientSession() as session,
        Background() as background,
    ):
        endpoint = parse_endpoint(str(path))
        transport = DuplexTransport(endpoint.label, connector(endpoint, session, background))
        with pytest.raises(OversizedError, match=f"at most {MOST_BYTES} bytes, found more"):
            await transport.request(CHAIN_ID, timeout_s=TIMEOUT_S)
        await over.wait()


async def test_an_answer_of_a_relay_or_a_signer_has_a_greatest_length() -> None:
    async with served(answer_for_ever) as place, aiohttp.ClientSession() as session:
        endpoint = parse_endpoint(f"http://{place}")
        relay = Relay(endpoint=endpoint, session=session, identity=None, timeout_s=TIMEOUT_S)
        with pytest.raises(OversizedError, match="eth_sendBundle: expected a reply of at most"):
            await relay.ask("eth_sendBundle", {})
        desk = SignerDesk(endpoint, session, timeout_s=TIMEOUT_S)
        with pytest.raises(ConfigError, match="expected a reply of at most"):
            await desk.signers([], chain_id=1, key="operator.web3signer")
