"""The ways to nodes: through aiohttp, which is loaded only where one is reached over TCP."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from keeper.chain.background import Background
from keeper.chain.duplex import DuplexTransport
from keeper.chain.endpoint import Endpoint, EndpointKind
from keeper.chain.forked import ForkTransport
from keeper.chain.sockets import Connect, open_ipc
from keeper.chain.transport import Transport
from keeper.runtime.clock import Clock

if TYPE_CHECKING:
    from keeper.chain.net import Net


@asynccontextmanager
async def open_net_for(endpoints: Sequence[Endpoint]) -> AsyncGenerator["Net | None", None]:
    """Open what nodes over TCP are reached by, None where every one is a socket on this machine."""
    if all(one.kind is EndpointKind.IPC for one in endpoints):
        yield None
        return
    from keeper.chain.net import open_net  # noqa: PLC0415 - the module says why

    async with open_net() as net:
        yield net


def connector_to(endpoint: Endpoint, net: "Net | None", background: Background) -> Connect:
    """Return how to open a socket that pushes."""
    return partial(open_ipc, endpoint) if net is None else net.connector(endpoint, background)


def transport_to(
    endpoint: Endpoint, net: "Net | None", background: Background, clock: Clock
) -> Transport:
    """Return the way that a node is asked by."""
    way: Transport
    if net is not None and endpoint.kind is EndpointKind.HTTP:
        way = net.http(endpoint, clock)
    else:
        way = DuplexTransport(endpoint.label, connector_to(endpoint, net, background))
    return ForkTransport(way) if endpoint.forks else way
