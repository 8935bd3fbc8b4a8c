"""The daemon of one chain: its loops, and its two-phase stop."""

import asyncio
import contextlib
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from keeper.app.deployment import Deployment
from keeper.app.observer import Observer
from keeper.app.sending import Sending
from keeper.app.skipping import RETRY_S, SKIPPED, TRIES
from keeper.chain.head_tracker import HeadEvent
from keeper.chain.heads import HeadStream
from keeper.chain.log_stream import LogStream
from keeper.chain.mempool import PendingStream
from keeper.core.chain import BlockRef, LogFilter, LogHint
from keeper.core.errors import ConfigError, DriftError
from keeper.runtime.garbage import keep_for_good
from keeper.runtime.latest import Latest
from keeper.runtime.precedence import Precedence
from keeper.runtime.stopping import done_before

_SETTLING_GIVES_WAY_S = 0.05
"""How long what is in flight waits at each head, while somebody is planned for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """What comes from the node by itself."""

    heads: HeadStream
    prices: LogStream
    pending: PendingStream | None = None
    """None where the mempool is not watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperPace:
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
        # Any: each deployment has its own market and position types; nothing here opens them.
        deployments: Sequence[Deployment[Any, Any]],
        sending: Sending,
        streams: Streams,
        observer: Observer,
        pace: KeeperPace,
        precedence: Precedence,
    ) -> None:
        """Take everything that runs."""
        self._deployments = deployments
        self._sending = sending
        self._streams = streams
        self._observer = observer
        self._pace = pace
        self._precedence = precedence
        self._read: list[Deployment[Any, Any]] = []
        """Those whose market could be read at the start."""
        self._newest: BlockRef | None = None
        self._head_came = asyncio.Event()
        self._mail: list[Latest[BlockRef]] = [Latest() for _ in deployments]
        self._wanted: LogFilter | None = None
        self.stopped = False
        """True once it was told to stop: it acts on no further block."""
        self.watching = asyncio.Event()
        """Set once every deployment is mirrored."""
        self._settle_mail: Latest[BlockRef] = Latest()

    @property
    def deployments(self) -> Sequence[Deployment[Any, Any]]:
        """What it runs: for showing."""
        return self._deployments

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
        read = [one for one in self._deployments if not one.is_paused]
        return min(one.acting.acted_on for one in read or self._deployments)

    def halt(self, why: str) -> None:
        """Stop all sending now, and cancel what can be; watching goes on."""
        self._sending.executor.halt(why)
        if self._newest is not None:
            self._settle_mail.offer(self._newest)

    async def run(self, head: BlockRef, stop: asyncio.Event) -> None:
        """Start at ``head`` and run until ``stop`` is set; then drain what is in flight.

        A stop while starting ends at once: nothing was sent in this run. A loop that fails takes
        the others down and raises.
        """
        if not await done_before(stop, self._start(head)):
            return
        await self._review(head)
        self._watch_prices()
        self.watching.set()
        async with asyncio.TaskGroup() as group:
            watching = [
                group.create_task(self._follow_heads()),
                group.create_task(self._follow_prices()),
                group.create_task(self._await_heads()),
                group.create_task(self._follow_pending(self._streams.pending)),
            ]
            acting = []
            for deployment, mail in zip(self._deployments, self._mail, strict=True):
                group.create_task(_watch(deployment, mail))
                acting.append(group.create_task(deployment.acting.run()))
                if deployment.prearming is not None:
                    acting.append(group.create_task(deployment.prearming.run()))
                if deployment.backrun is not None:
                    acting.append(group.create_task(deployment.backrun.run()))
            group.create_task(self._settle())
            if self._sending.arming is not None:
                self._streams.prices.tap = self._hear_price
                watching.append(group.create_task(self._sending.arming.prearm.run()))
                watching.append(group.create_task(self._drill()))
            self._newest = head
            self._settle_mail.put(head)
            await stop.wait()
            await self._stop(watching, acting)

    async def _start(self, head: BlockRef) -> None:
        """Fill every mirror; a deployment that cannot be read is left out, if others can.

        Raises ConfigError when none can be read, and what a deployment met that has something in
        flight.
        """
        flying = {one.intent.deployment for one in self._sending.flight.airborne.values()}
        refused: list[ConfigError | DriftError] = []
        for deployment in self._deployments:
            try:
                await deployment.start(head)
            except (ConfigError, DriftError) as error:
                if deployment.name in flying:
                    raise
                deployment.pause(str(error))
                refused.append(error)
            else:
                self._read.append(deployment)
        if refused and not self._read:
            raise ConfigError("\n".join(map(str, refused)))
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
        for deployment, mail in zip(self._deployments, self._mail, strict=True):
            mail.close()
            deployment.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pace.drain_s):
                await asyncio.wait(acting)
                await self._sending.flight.drained()
        for deployment in self._read:
            await deployment.checkpoint()
        self._settle_mail.close()
        for task in watching:
            task.cancel()

    async def _follow_heads(self) -> None:
        """Leave each head for every watcher and for the settler."""
        async with aclosing(self._streams.heads.follow()) as events:
            async for event in events:
                self._judge_reorg(event)
                self._newest = event.block
                self._head_came.set()
                self._sending.executor.head_seen(event.block)
                for mail in self._mail:
                    mail.offer(event.block)
                self._settle_mail.offer(event.block)
                self._watch_prices()

    def _judge_reorg(self, event: HeadEvent) -> None:
        """Halt sending when more was undone than is taken for possible: the node is not sound."""
        if event.reorg_from is None or self._newest is None:
            return
        undone, most = self._newest.number - event.reorg_from, self._pace.finality_depth
        if undone > most:
            self.halt(f"reorg: expected at most {most} blocks undone, found {undone}")

    def _watch_prices(self) -> None:
        """Follow the feeds that the deployments read now."""
        wanted = [deployment.price_filter for deployment in self._deployments]
        union = LogFilter(
            addresses=frozenset().union(*(one.addresses for one in wanted)),
            topics=frozenset().union(*(one.topics for one in wanted)),
        )
        if union != self._wanted:
            self._wanted = union
            self._streams.prices.watch(union)

    async def _follow_prices(self) -> None:
        """Hand each price event to every deployment."""
        async with aclosing(self._streams.prices.follow()) as logs:
            async for log in logs:
                for deployment in self._deployments:
                    await deployment.see_price(log)

    def _hear_price(self, hint: LogHint, at_ns: int) -> None:
        """Hand a price event to every deployment as its bytes come."""
        for deployment in self._deployments:
            deployment.hear_price(hint, at_ns)

    async def _drill(self) -> None:
        """Keep the way from price event to signature warm, as often as the operator wants."""
        while self._pace.drill_s:
            await asyncio.sleep(self._pace.drill_s)
            if self._precedence.is_claimed:
                continue
            for deployment in self._deployments:
                prearming = deployment.prearming
                if prearming is not None and prearming.sample is not None:
                    self._streams.prices.drill(prearming.sample)

    async def _follow_pending(self, stream: PendingStream | None) -> None:
        """Hand each transaction that may move a price to every deployment."""
        if stream is None:
            return
        async with aclosing(stream.follow()) as transactions:
            async for transaction in transactions:
                for deployment in self._deployments:
                    deployment.see_pending(transaction)

    async def _await_heads(self) -> None:
        """Halt sending when no block comes for too long: what we know is old."""
        longest = self._pace.max_head_gap_s
        while longest:
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
            try:
                outcomes = await sending.settler.settle(head)
                outcomes += await sending.canon.review(head, sending.settler)
                await sending.executor.tend(head)
            except SKIPPED as error:
                self._observer.skipped("settler", str(error))
                continue
            for outcome in outcomes:
                self._observer.settled(outcome)


async def _watch(deployment: Deployment[Any, Any], mail: Latest[BlockRef]) -> None:
    async for head in mail:
        for _ in range(TRIES):
            if await deployment.see_head(head) or mail.is_waiting:
                break
            await asyncio.sleep(RETRY_S)
