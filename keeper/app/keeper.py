"""The daemon of one chain: its loops, and its two-phase stop."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from functools import partial

from msgspec import Struct

from keeper.app.compartment import AnyDeployment
from keeper.app.drill import DRILL_INDEX
from keeper.app.hull import Hull
from keeper.app.observer import Observer
from keeper.app.sending import Sending
from keeper.app.skipping import SKIPPED
from keeper.chain.head_tracker import HeadEvent
from keeper.chain.heads import HeadStream
from keeper.chain.log_stream import LogStream
from keeper.chain.member import NodeState
from keeper.chain.mempool import PendingStream
from keeper.core.chain import BlockRef, LogFilter, LogHint
from keeper.core.plan import Outcome
from keeper.runtime.garbage import keep_for_good
from keeper.runtime.lasting import lasting
from keeper.runtime.latest import Latest
from keeper.runtime.precedence import Precedence
from keeper.runtime.stopping import done_before

_HEARD = "a price that was heard"
_HEARD_S = 0.05
"""How long it goes first at most, before it is seen: what is heard may have been seen before."""
_SETTLING_GIVES_WAY_S = 0.05
"""How long what is in flight waits at each head, while somebody is planned for."""
_REORG_S = 0.25
"""How long a head that undoes others waits for what was sent: whose liquidation is open again is
not planned for anew."""


class Streams(Struct, frozen=True, kw_only=True):
    """What comes from the node by itself."""

    heads: HeadStream
    prices: LogStream
    pending: PendingStream | None = None
    """None where the mempool is not watched."""


class KeeperPace(Struct, frozen=True, kw_only=True):
    """How long the daemon waits for what, seconds, and how deep a reorg may be."""

    drain_s: float
    """For what is in flight, when it stops."""
    finality_depth: int
    """Blocks; a reorg that undoes more halts sending."""
    max_head_gap_s: float
    """For a new block, before sending is halted; 0 is for ever."""
    drill_s: float = 0
    """Between two drills of what was signed ahead; 0 is never."""


class Keeper:
    """Runs the deployments of one chain until it is told to stop."""

    def __init__(
        self,
        *,
        hull: Hull,
        sending: Sending,
        streams: Streams,
        observer: Observer,
        pace: KeeperPace,
        precedence: Precedence,
    ) -> None:
        """Take everything that runs."""
        self._hull = hull
        self._sending = sending
        self._streams = streams
        self._observer = observer
        self._pace = pace
        self._precedence = precedence
        self._newest: BlockRef | None = None
        self._head_came = asyncio.Event()
        self._wanted: LogFilter | None = None
        self.stopped = False
        """True once it was told to stop: it acts on no further block."""
        self.watching = asyncio.Event()
        """Set once every deployment is mirrored."""
        self.on_watching: Callable[[], None] = lambda: None
        """Hears of that as it comes."""
        self._settle_mail: Latest[BlockRef] = Latest()
        self._settled: BlockRef | None = None
        """The head at which outcomes were last looked at."""
        self._has_settled = asyncio.Event()

    @property
    def deployments(self) -> Sequence[AnyDeployment]:
        """What it runs: for showing."""
        return self._hull.deployments

    @property
    def sending(self) -> Sending:
        """What it sends by: for showing."""
        return self._sending

    @property
    def in_flight(self) -> int:
        """How many intents have no outcome yet."""
        return len(self._sending.flight.airborne)

    @property
    def acted_on(self) -> int:
        """The newest block that every deployment has dealt with."""
        return self._hull.acted_on

    def halt(self, why: str) -> None:
        """Stop all sending now, and cancel what can be; watching goes on."""
        self._sending.executor.halt(why)
        if self._newest is not None:
            self._settle_mail.offer(self._newest)

    def kept(self, why: str) -> None:
        """Hear that somebody else put a halt on disk."""
        self._sending.standing.kept(why)

    def node(self, name: str) -> NodeState:
        """Return what is known of a single node, which is not compared with others."""
        trouble = self._streams.heads.trouble.removeprefix(f"{name}: ")
        block = None if self._newest is None else self._newest.number
        return NodeState(name=name, is_active=True, block=block, trouble=trouble)

    async def run(self, head: BlockRef, stop: asyncio.Event) -> None:
        """Start at ``head`` and run until ``stop`` is set; then drain what is in flight.

        A stop while starting ends at once: nothing was sent in this run. A loop of the chain that
        fails takes the others down and raises.
        """
        if not await done_before(stop, self._start(head)):
            self.stopped = True
            return
        await self._review(head)
        self._watch_prices()
        self.watching.set()
        self.on_watching()
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(lasting(one)) for one in self._watchers()]
            acting = [
                group.create_task(lasting(one.run, lambda: self.stopped))
                for one in self._hull.compartments
            ]
            group.create_task(lasting(self._settle, lambda: self.stopped))
            if self._sending.arming is not None:
                self._streams.prices.tap = self._hear_price
                self._streams.heads.on_leaving = self._hull.void
            self._newest = head
            self._sending.agreed.told(HeadEvent(block=head))
            self._settle_mail.put(head)
            await stop.wait()
            await self._stop(watching, acting)

    def _watchers(self) -> Iterator[Callable[[], Awaitable[None]]]:
        """Yield what goes on until nothing is in flight any more."""
        yield self._follow_heads
        yield self._follow_prices
        if self._pace.max_head_gap_s:
            yield self._await_heads
        if self._streams.pending is not None:
            yield partial(self._follow_pending, self._streams.pending)
        if self._sending.arming is not None:
            yield self._sending.arming.prearm.aftermath.run
            if self._pace.drill_s:
                yield self._drill

    async def _start(self, head: BlockRef) -> None:
        """Fill every mirror."""
        flying = {one.intent.deployment for one in self._sending.flight.airborne.values()}
        await self._hull.start(head, flying)
        keep_for_good()

    async def _review(self, head: BlockRef) -> None:
        """Open what a reorg undid while nobody looked, before its accounts are planned anew."""
        try:
            for outcome in await self._sending.canon.review(head, self._sending.settler):
                self._observer.settled(outcome)
        except SKIPPED as error:
            self._observer.skipped("settler", str(error))

    async def _stop(
        self, watching: Sequence["asyncio.Task[None]"], acting: Sequence["asyncio.Task[None]"]
    ) -> None:
        """Stop acting at once; keep following heads until nothing is in flight, or time is up.

        What is being sent just now counts as in flight: the loops that act end first.
        """
        self.stopped = True
        self._hull.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pace.drain_s):
                if acting:  # there may be no deployment that is enabled
                    await asyncio.wait(acting)
                await self._sending.flight.drained()
        await self._hull.checkpoint()
        self._settle_mail.close()
        for task in watching:
            task.cancel()

    async def _follow_heads(self) -> None:
        """Leave each head for every watcher and for the settler."""
        async with aclosing(self._streams.heads.follow()) as events:
            async for event in events:
                self._judge_reorg(self._sending.agreed.told(event))
                self._newest = event.block
                self._head_came.set()
                self._sending.executor.head_seen(event.block)
                self._settle_mail.offer(event.block)
                if event.reorg_from is not None:
                    self._hull.void()
                    await self._settled_at(event.block)
                self._hull.see_head(event.block)
                self._watch_prices()

    async def _settled_at(self, head: BlockRef) -> None:
        """Wait until outcomes are those of a head, for as long as that may take."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REORG_S):
                while self._settled != head:
                    self._has_settled.clear()
                    await self._has_settled.wait()

    def _judge_reorg(self, undone: int) -> None:
        """Halt sending when more was undone than is taken for possible: the node is not sound."""
        if undone > (most := self._pace.finality_depth):
            self.halt(f"reorg: expected at most {most} blocks undone, found {undone}")

    def _watch_prices(self) -> None:
        """Follow the feeds that the deployments read now."""
        wanted = self._hull.price_filter
        if wanted != self._wanted:
            self._wanted = wanted
            self._streams.prices.watch(wanted)

    async def _follow_prices(self) -> None:
        """Hand each price event to every deployment."""
        async with aclosing(self._streams.prices.follow()) as logs:
            async for log in logs:
                await self._hull.see_price(log)
                self._precedence.release(_HEARD)

    def _hear_price(self, hint: LogHint, at_ns: int) -> None:
        """Hand on a price event as its bytes come; it goes first until it is seen."""
        self._hull.hear_price(hint, at_ns)
        if hint.log_index != DRILL_INDEX:
            self._precedence.claim(_HEARD, most_s=_HEARD_S)

    async def _drill(self) -> None:
        """Keep the way from price event to signature warm, as often as the operator wants."""
        while True:
            await asyncio.sleep(self._pace.drill_s)
            if self._precedence.is_claimed:
                continue
            for sample in self._hull.samples:
                self._streams.prices.drill(sample)

    async def _follow_pending(self, stream: PendingStream) -> None:
        """Hand each transaction that may move a price to every deployment."""
        async with aclosing(stream.follow()) as transactions:
            async for transaction in transactions:
                self._hull.see_pending(transaction)

    async def _await_heads(self) -> None:
        """Halt sending when no block comes for too long: what we know is old."""
        longest = self._pace.max_head_gap_s
        while True:
            self._head_came.clear()
            try:
                # Not wait_for: on Python 3.11 it may swallow the cancellation that ends the keeper.
                async with asyncio.timeout(longest):
                    await self._head_came.wait()
            except TimeoutError:
                self.halt(f"circuit breaker: no new block for {longest:.0f} s")
                await self._head_came.wait()

    async def _settle(self) -> None:
        """Close what has ended, correct what a reorg undid and tend the rest, at each head."""
        sending = self._sending
        async for head in self._settle_mail:
            await self._precedence.give_way(_SETTLING_GIVES_WAY_S)
            await sending.standing.review()  # whatever becomes of the reads: a halt outlives us
            outcomes: list[Outcome] = []
            try:
                self._judge_reorg(await sending.agreed.require(head))
                await sending.doubtful.look(head)
                outcomes += await sending.settler.settle(head)
                outcomes += await sending.canon.review(head, sending.settler)
                self._settled = head
                self._has_settled.set()
                await sending.executor.tend(head)
            except SKIPPED as error:
                self._observer.skipped("settler", str(error))
                await sending.standing.review()  # what halted on the way there is kept too
            for outcome in outcomes:
                self._observer.settled(outcome)
