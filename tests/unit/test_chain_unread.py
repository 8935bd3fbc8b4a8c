"""A node that reads no more holds up nobody for longer than is waited for an answer."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web

from keeper.chain.background import Background
from keeper.chain.duplex import DuplexTransport
from keeper.chain.endpoint import parse_endpoint
from keeper.chain.errors import SlowError
from keeper.chain.jsonrpc import Reply, Request
from keeper.chain.net import open_net
from keeper.core.errors import TransientError

LONG = Request(method="eth_call", params=("0x" + "ab" * 500_000,))
MORE_THAN_FITS = 24
"""Such requests, in what the kernel holds for a reader."""


@asynccontextmanager
async def unread() -> AsyncIterator[tuple[DuplexTransport, asyncio.Event]]:
    """Give the way to a node that reads nothing until the event is set, and then answers."""
    reads = asyncio.Event()

    async def serve(request: web.Request) -> web.WebSocketResponse:
        stream = web.WebSocketResponse(max_msg_size=0)
        await stream.prepare(request)
        assert request.transport is not None
        request.transport.pause_reading()  # type: ignore[attr-defined]
        await reads.wait()
        request.transport.resume_reading()  # type: ignore[attr-defined]
        async for message in stream:
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
        try:
            yield transport, reads
        finally:
            reads.set()
            await transport.close()


async def asked(transport: DuplexTransport, timeout_s: float) -> Reply:
    return await transport.request(LONG, timeout_s=timeout_s)


@pytest.mark.parametrize("at_once", [1, 8])
async def test_who_asks_a_node_that_reads_no_more_is_told_so_and_never_cancelled(
    at_once: int,
) -> None:
    async with unread() as (transport, _):
        for _ in range(MORE_THAN_FITS // at_once):
            # Tasks, for what is cancelled is the task of whoever asked.
            tasks = [asyncio.ensure_future(asked(transport, 0.05)) for _ in range(at_once)]
            await asyncio.wait(tasks)
            assert not any(one.cancelled() for one in tasks)
            assert all(isinstance(one.exception(), TransientError) for one in tasks)


async def test_nobody_complains_of_what_was_not_written_when_the_node_hung_up() -> None:
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: complaints.append(about))
    async with unread() as (transport, _):
        asking = (asked(transport, 0.5) for _ in range(MORE_THAN_FITS))
        waiting = asyncio.gather(*asking, return_exceptions=True)
        await asyncio.sleep(0.2)
        await transport.close()
        assert {type(one) for one in await waiting} == {TransientError, SlowError}
        del waiting
    gc.collect()
    assert complaints == []


async def test_a_node_that_reads_again_is_asked_again() -> None:
    async with unread() as (transport, reads):
        tasks = [asyncio.ensure_future(asked(transport, 30.0)) for _ in range(MORE_THAN_FITS)]
        await asyncio.sleep(0.1)
        reads.set()
        assert [bytes(one) for one in await asyncio.gather(*tasks)] == [b'"0x1"'] * MORE_THAN_FITS
