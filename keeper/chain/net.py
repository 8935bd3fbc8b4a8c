"""Nodes over TCP: HTTP and WebSockets, through one session of aiohttp.

aiohttp takes long to load, the system's certificates with it. This module is loaded only where some
node is not a socket on this machine.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import aiohttp

from keeper.chain.background import Background
from keeper.chain.endpoint import Endpoint, EndpointKind
from keeper.chain.http import HttpTransport
from keeper.chain.quick_websocket import QuickWebSocket
from keeper.chain.sockets import Connect, open_ipc
from keeper.chain.websocket import open_websocket
from keeper.runtime.clock import Clock

_CONNECTIONS = 32


class Net:
    """Opens ways to nodes."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """Use a session that the caller closes."""
        self._session = session

    def http(self, endpoint: Endpoint, clock: Clock) -> HttpTransport:
        """Return the transport of an HTTP endpoint."""
        return HttpTransport(endpoint, self._session, now=clock.now)

    def connector(self, endpoint: Endpoint, background: Background) -> Connect:
        """Return how to connect to an endpoint that pushes."""
        return connector(endpoint, self._session, background)


def connector(
    endpoint: Endpoint, session: aiohttp.ClientSession, background: Background
) -> Connect:
    """Return how to connect to a WebSocket or IPC endpoint.

    The tasks that read WebSockets run in the background and end with their connection.
    """
    if endpoint.kind is EndpointKind.IPC:
        return partial(open_ipc, endpoint)
    return partial(open_websocket, endpoint, session, background)


@asynccontextmanager
async def open_net() -> AsyncGenerator[Net, None]:
    """Open a session until the block ends."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
        ws_response_class=QuickWebSocket,  # type: ignore[arg-type] # of bytes, not of text
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:
        yield Net(session)
