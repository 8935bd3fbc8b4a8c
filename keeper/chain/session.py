"""One node, opened: everything that Keeper asks of a chain, closed together."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from keeper.chain.background import Background
from keeper.chain.call_batch import CallBatch
from keeper.chain.duplex import DuplexTransport
from keeper.chain.endpoint import Endpoint, EndpointKind, parse_endpoint
from keeper.chain.heads import HeadStream, PolledHeads, PushedHeads, Report, quiet
from keeper.chain.http import HttpTransport
from keeper.chain.log_ranges import LogRanges
from keeper.chain.log_stream import LogStream
from keeper.chain.pinned import PinnedRpc
from keeper.chain.reader import ChainReader
from keeper.chain.records import quantity
from keeper.chain.rpc import RetryPolicy, Rpc
from keeper.chain.simulator import NodeSimulator
from keeper.chain.sockets import Connect, connector
from keeper.chain.subscriptions import Subscriptions
from keeper.chain.transport import Transport
from keeper.chain.wire import NodeWire
from keeper.core.chain import LogFilter
from keeper.core.errors import ConfigError, RefusedError, TransientError
from keeper.core.units import Address
from keeper.runtime.clock import Clock, SystemClock

_CONNECTIONS = 32
_START_BUDGET_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainOptions:
    """What the configuration of a chain says about talking to it."""

    chain_id: int
    chain_id_key: str = "chain_id"
    """File and key that ``chain_id`` is from, for the message when the node differs."""
    rpc_key: str = "rpc"
    """File and key that the URLs are from, for the message when a node does not answer."""
    multicall3: Address
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    calls_per_chunk: int = 200
    chunks_at_once: int = 4
    poll_s: float = 1.0
    """How often to ask for the head where the node cannot push."""
    check_s: float = 15.0
    """How long to believe a silent subscription before asking for the head."""
    stall_s: float = 120.0
    """After how long without a new head to report it and connect anew."""


class Chain:
    """An open chain: the ports of ``keeper.core.ports`` and the streams of heads and logs."""

    def __init__(
        self,
        rpc: Rpc,
        options: ChainOptions,
        *,
        clock: Clock,
        push: "PushEndpoint | None",
    ) -> None:
        pinned = PinnedRpc(rpc)
        calls = CallBatch(
            pinned,
            multicall3=options.multicall3,
            chunk=options.calls_per_chunk,
            at_once=options.chunks_at_once,
        )
        self.rpc = rpc
        self.reader = ChainReader(pinned, calls, LogRanges(rpc))
        self.simulator = NodeSimulator(pinned)
        self.wire = NodeWire(rpc)
        self._options = options
        self._clock = clock
        self._push = push

    def heads(self, *, report: Report = quiet) -> HeadStream:
        """Return a new stream of heads, pushed where the node can, else polled."""
        options = self._options
        source = (
            PushedHeads(self._push.open, self.reader, check_s=options.check_s)
            if self._push
            else PolledHeads(self.reader, self._clock, every_s=options.poll_s)
        )
        return HeadStream(
            source, self.reader, clock=self._clock, stall_s=options.stall_s, report=report
        )

    def logs(self, wanted: LogFilter, *, report: Report = quiet) -> LogStream:
        """Return a new stream of the wanted logs, pushed where the node can, else polled."""
        return LogStream(
            wanted,
            self.reader,
            clock=self._clock,
            subscriptions=self._push.open if self._push else None,
            heads=self.heads,
            report=report,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PushEndpoint:
    """Where subscriptions are made, each stream on a socket of its own."""

    name: str
    connect: Connect
    timeout_s: float

    def open(self) -> Subscriptions:
        """Return subscriptions on a socket that opens with the first one."""
        return Subscriptions(self.name, self.connect, timeout_s=self.timeout_s)


@asynccontextmanager
async def open_chain(
    urls: str | Sequence[str], options: ChainOptions, *, clock: Clock | None = None
) -> AsyncGenerator[Chain, None]:
    """Open a chain and check its id; close everything at the end of the block.

    Calls go to the first URL; heads and logs are pushed by the first that can push (WebSocket or
    IPC). Raises ConfigError when a node does not answer or is on another chain.
    """
    endpoints = [parse_endpoint(url) for url in ([urls] if isinstance(urls, str) else urls)]
    if not endpoints:
        raise ConfigError("rpc urls: expected at least one, found none")
    chosen = clock or SystemClock()
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(_http_session())
        background = await stack.enter_async_context(Background())
        calls = _transport(endpoints[0], session, background, chosen)
        stack.push_async_callback(calls.close)
        pushing = next((endpoint for endpoint in endpoints if endpoint.pushes), None)
        push = None
        if pushing is not None:
            push = PushEndpoint(
                name=pushing.label,
                connect=connector(pushing, session, background),
                timeout_s=options.retry.timeout_s,
            )
        chain = Chain(
            Rpc(calls, clock=chosen, policy=options.retry), options, clock=chosen, push=push
        )
        await require_chain_id(chain.rpc, options)
        if push is not None and pushing is not endpoints[0]:
            await _check_push(push, options, chosen)
        yield chain


async def require_chain_id(rpc: Rpc, options: ChainOptions) -> None:
    """Raise ConfigError unless the node answers and is on the chain that was configured."""
    try:
        chain_id = quantity(await rpc.read(str, "eth_chainId", budget_s=_START_BUDGET_S))
    except (TransientError, RefusedError) as e:
        raise ConfigError(f"{options.rpc_key}: {e}") from e
    if chain_id != options.chain_id:
        expected = f"{options.chain_id} ({options.chain_id_key})"
        raise ConfigError(f"chain id: expected {expected}, found {chain_id} at {rpc.name}")


async def _check_push(push: PushEndpoint, options: ChainOptions, clock: Clock) -> None:
    transport = DuplexTransport(push.name, push.connect)
    try:
        await require_chain_id(Rpc(transport, clock=clock, policy=options.retry), options)
    finally:
        await transport.close()


def _http_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
        timeout=aiohttp.ClientTimeout(total=None),
    )


def _transport(
    endpoint: Endpoint, session: aiohttp.ClientSession, background: Background, clock: Clock
) -> Transport:
    if endpoint.kind is EndpointKind.HTTP:
        return HttpTransport(endpoint, session, now=clock.now)
    return DuplexTransport(endpoint.label, connector(endpoint, session, background))
