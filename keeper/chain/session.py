"""One node, opened: everything that Keeper asks of a chain, closed together."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct, field

from keeper.chain.agreed import AgreedReader, AgreedWire
from keeper.chain.background import Background
from keeper.chain.call_batch import CallBatch
from keeper.chain.data_fees import Rollup
from keeper.chain.endpoint import Endpoint, parse_endpoint
from keeper.chain.heads import HeadSource, HeadStream, PolledHeads, PushedElsePolled, PushedHeads
from keeper.chain.log_ranges import LogRanges
from keeper.chain.log_stream import LogStream
from keeper.chain.member import NodeState
from keeper.chain.mempool import PendingStream
from keeper.chain.pinned import PinnedRpc
from keeper.chain.pool import Pool
from keeper.chain.pushing import PushEndpoint, Rotation
from keeper.chain.quorum import Node, Quorum, QuorumSimulator
from keeper.chain.reader import ChainReader
from keeper.chain.records import quantity
from keeper.chain.rpc import RetryPolicy, Rpc
from keeper.chain.simulator import NodeSimulator
from keeper.chain.transport import Transport
from keeper.chain.trouble import Report, quiet
from keeper.chain.watch import PoolOptions
from keeper.chain.ways import connector_to, open_net_for, transport_to
from keeper.chain.wire import NodeWire
from keeper.core.chain import LogFilter
from keeper.core.errors import ConfigError, RefusedError, TransientError
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.runtime.clock import Clock, SystemClock

_START_BUDGET_S = 5.0


class ChainOptions(Struct, frozen=True, kw_only=True):
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
    quorum: int = 1
    """How many nodes must tell alike what money rests on."""
    max_lag_blocks: int = 3
    """A node that is further behind the others is not used."""
    watch_s: float = 2.0
    """How often to look at every node where there are several."""
    patience_s: float = 3.0
    """How long to wait for one node while there is another to ask."""
    recover_s: float = 30.0
    """How long an earlier node must be fit before it is taken again."""
    rollup: Rollup | None = None
    """What kind of rollup it is, which its base fee follows from."""


class Chain:
    """An open chain: the ports of ``keeper.core.ports`` and the streams of heads and logs."""

    def __init__(
        self,
        rpc: Rpc,
        options: ChainOptions,
        *,
        clock: Clock,
        report: Report = quiet,
        push: Sequence[PushEndpoint] = (),
        pool: Pool | None = None,
    ) -> None:
        self.rpc = rpc
        node = _node(rpc, options)
        self.reader = node.reader
        self.agreed: Reader = node.reader
        """For what money rests on: enough nodes tell it alike."""
        self.preview = node.simulator
        """For what is only looked at: one node's word."""
        self.simulator: NodeSimulator | QuorumSimulator = node.simulator
        self.wire = node.wire
        if pool is not None and options.quorum > 1:
            quorum = _quorum(pool, options, clock)
            self.agreed = AgreedReader(quorum, node.reader)
            self.simulator = QuorumSimulator(quorum)
            self.wire = AgreedWire(quorum, rpc)
        self.pool = pool
        """The nodes when there are several."""
        self._options = options
        self._clock = clock
        self._report = report
        self._push = push

    def nodes(self) -> Sequence[NodeState]:
        """Return what is known of each of several nodes; of a single one nothing is."""
        return [] if self.pool is None else self.pool.states()

    def heads(self, *, report: Report | None = None) -> HeadStream:
        """Return a new stream of heads, pushed where a node can, else polled."""
        told = report or self._report
        return HeadStream(
            self._head_source(told),
            self.reader,
            clock=self._clock,
            stall_s=self._options.stall_s,
            report=told,
            leave=None if self.pool is None else self.pool.leave,
        )

    def logs(self, wanted: LogFilter, *, report: Report | None = None) -> LogStream:
        """Return a new stream of the wanted logs, pushed where a node can, else polled."""
        return LogStream(
            wanted,
            self.reader,
            clock=self._clock,
            subscriptions=self._rotation().open if self._push else None,
            heads=self.heads,
            report=report or self._report,
        )

    def pending(
        self, selectors: frozenset[bytes], *, report: Report | None = None
    ) -> PendingStream | None:
        """Return a new stream of pending calls of functions, None where no node can push."""
        if not self._push:
            return None
        return PendingStream(
            selectors,
            self.rpc,
            clock=self._clock,
            subscriptions=self._rotation().open,
            report=report or self._report,
        )

    def _head_source(self, report: Report) -> HeadSource:
        options = self._options
        polled = PolledHeads(self.reader, self._clock, every_s=options.poll_s)
        if not self._push:
            return polled
        rotation = self._rotation()
        pushed = PushedHeads(
            rotation.open,
            self.reader,
            clock=self._clock,
            check_s=options.check_s,
            rollup=options.rollup,
            told=rotation.pushed,
        )
        if self.pool is None:
            return pushed
        return PushedElsePolled(pushed, polled, self._clock, report=report)

    def _rotation(self) -> Rotation:
        return Rotation(self._push, self.pool, self._clock)


@asynccontextmanager
async def open_chain(
    nodes: str | Sequence[str | Endpoint],
    options: ChainOptions,
    *,
    clock: Clock | None = None,
    report: Report = quiet,
) -> AsyncGenerator[Chain, None]:
    """Open a chain and check its id; close everything at the end of the block.

    Nodes are URLs or endpoints. Calls go to the first that is fit; heads and logs are pushed by the
    same node if it can push (WebSocket or IPC), else by the first that can. Raises ConfigError when
    no node answers, or one is on another chain.
    """
    given = [nodes] if isinstance(nodes, str) else nodes
    endpoints = [one if isinstance(one, Endpoint) else parse_endpoint(one) for one in given]
    if not endpoints:
        raise ConfigError("rpc urls: expected at least one, found none")
    chosen = clock or SystemClock()
    async with AsyncExitStack() as stack:
        net = await stack.enter_async_context(open_net_for(endpoints))
        background = await stack.enter_async_context(Background())
        ways = [transport_to(one, net, background, chosen) for one in endpoints]
        pool = _pool(ways, options, chosen, report) if len(ways) > 1 else None
        calls: Transport = pool or ways[0]
        stack.push_async_callback(calls.close)
        push = [
            PushEndpoint(
                name=one.label,
                connect=connector_to(one, net, background),
                timeout_s=options.retry.timeout_s,
                member=pool.members[place] if pool else None,
            )
            for place, one in enumerate(endpoints)
            if one.pushes
        ]
        rpc = Rpc(calls, clock=chosen, policy=options.retry)
        chain = Chain(rpc, options, clock=chosen, report=report, push=push, pool=pool)
        if pool is None:
            await require_chain_id(rpc, options)
        else:
            await _require_chain(pool, options)
            background.start(pool.watch())
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


async def _require_chain(pool: Pool, options: ChainOptions) -> None:
    """Raise ConfigError unless enough nodes answer and none is on another chain."""
    await pool.look()
    await pool.look()  # only now is there a block at which the others must agree
    for member in pool.members:
        if member.excluded:
            expected = f"chain id: expected {options.chain_id} ({options.chain_id_key})"
            found = member.excluded.rsplit(" ", 1)[-1]
            raise ConfigError(f"{expected}, found {found} at {member.name}")
    if len(pool.fit()) < options.quorum:
        found = f"{len(pool.fit())} of {len(pool.members)}"
        msg = f"{options.rpc_key}: expected {options.quorum} nodes that are fit, found {found}"
        why = "; ".join(f"{one.name}: {one.unfit}" for one in pool.members if one.unfit)
        raise ConfigError(f"{msg} ({why})")


def _pool(nodes: Sequence[Transport], options: ChainOptions, clock: Clock, report: Report) -> Pool:
    judged = PoolOptions(
        chain_id=options.chain_id,
        max_lag_blocks=options.max_lag_blocks,
        quorum=options.quorum,
        watch_s=options.watch_s,
        patience_s=options.patience_s,
        recover_s=options.recover_s,
        rollup=options.rollup,
    )
    return Pool(nodes, options=judged, clock=clock, report=report)


def _node(rpc: Rpc, options: ChainOptions) -> Node:
    """Return what is asked of a node, or of several as one."""
    pinned = PinnedRpc(rpc)
    calls = CallBatch(
        pinned,
        multicall3=options.multicall3,
        chunk=options.calls_per_chunk,
        at_once=options.chunks_at_once,
    )
    return Node(
        reader=ChainReader(pinned, calls, LogRanges(rpc), rollup=options.rollup),
        simulator=NodeSimulator(pinned),
        wire=NodeWire(rpc),
    )


def _quorum(pool: Pool, options: ChainOptions, clock: Clock) -> Quorum:
    nodes = {
        one: _node(Rpc(one.transport, clock=clock, policy=options.retry), options)
        for one in pool.members
    }
    return Quorum(pool, nodes, least=options.quorum, clock=clock, patience_s=options.patience_s)
