"""JSON texts over a Unix socket, however the bytes are cut."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from keeper.chain.background import Background
from keeper.chain.duplex import DuplexTransport
from keeper.chain.endpoint import parse_endpoint
from keeper.chain.jsonrpc import NodeError, Request
from keeper.chain.net import connector
from keeper.core.errors import TransientError

ONE = b'{"jsonrpc":"2.0","id":1,"result":"0x1"}'
CHAIN_ID = Request(method="eth_chainId")

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@asynccontextmanager
async def node_at(path: Path, chunks: list[bytes]) -> AsyncIterator[DuplexTransport]:
    """Serve a node that answers the first request with these pieces."""
    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0.005)
        if not chunks:
            writer.close()
        await reader.read()
        writer.close()
        served.set()

    async with (
        await asyncio.start_unix_server(serve, path),
        aiohttp.ClientSession() as session,
        Background() as background,
    ):
        endpoint = parse_endpoint(str(path))
        transport = DuplexTransport(endpoint.label, connector(endpoint, session, background))
        yield transport
        await transport.close()
        await served.wait()


@pytest.mark.parametrize(
    "chunks",
    [
        [ONE + b"\n"],
        [ONE[:9], ONE[9:20], ONE[20:] + b"\n"],
        [ONE],
        [ONE[:15], ONE[15:]],
        [b'{"jsonrpc":"2.0","method":"eth_subscription","params":{}}\n' + ONE + b"\n"],
        [b"[" + ONE + b"]\n"],
        [b"\n\n" + ONE + b"\n"],
    ],
    ids=["whole", "cut", "no newline", "cut, no newline", "after another", "array", "blank lines"],
)
async def test_a_reply_is_read_however_it_is_cut(tmp_path: Path, chunks: list[bytes]) -> None:
    async with node_at(tmp_path / "node.ipc", chunks) as transport:
        reply = await transport.request(CHAIN_ID, timeout_s=30.0)
    assert not isinstance(reply, NodeError)
    assert bytes(reply) == b'"0x1"'


async def test_a_node_that_hangs_up_is_transient(tmp_path: Path) -> None:
    async with node_at(tmp_path / "node.ipc", []) as transport:
        with pytest.raises(TransientError, match="the connection closed"):
            await transport.request(CHAIN_ID, timeout_s=30.0)


async def test_no_socket_is_transient(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session, Background() as background:
        endpoint = parse_endpoint(str(tmp_path / "none.ipc"))
        transport = DuplexTransport(endpoint.label, connector(endpoint, session, background))
        with pytest.raises(TransientError, match="expected a node's socket, found No such file"):
            await transport.request(CHAIN_ID, timeout_s=30.0)


async def test_a_batch_with_a_text_that_is_not_utf_8_is_trouble_of_the_node(tmp_path: Path) -> None:
    reply = b'[{"id":1,"error":{"code":1,"message":"\xff"}}]\n'
    async with node_at(tmp_path / "node.ipc", [reply]) as node:
        with pytest.raises(TransientError, match="expected a JSON-RPC batch"):
            await node.batch([CHAIN_ID], timeout_s=5.0)
