"""Several nodes of one chain as one: the first that is fit is asked, the others stand by.

One node is active at a time, so that what is read fits together. A read that cannot be had from it
goes to the next; a transaction never does, for nobody knows whether the first node took it. A node
becomes active only after it proved to be on the same chain: chain id, and the hash of a block that
was seen before.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from keeper.chain.classify import Meaning, meaning, wished_wait_s
from keeper.chain.errors import RateLimitedError
from keeper.chain.jsonrpc import NodeError, Reply, Request
from keeper.chain.member import Member, NodeState
from keeper.chain.transport import Transport
from keeper.chain.trouble import Report, Trouble, quiet
from keeper.chain.watch import PoolOptions, Watch
from keeper.core.errors import TransientError
from keeper.core.primed import Primed
from keeper.runtime.clock import Clock

_SLOW = frozenset({"eth_getLogs", "eth_simulateV1"})

_Ask = Callable[[Transport, float], Awaitable[Sequence[Reply]]]


class Pool:
    """A ``Transport`` over several. See the module."""

    def __init__(
        self,
        transports: Sequence[Transport],
        *,
        options: PoolOptions,
        clock: Clock,
        report: Report = quiet,
    ) -> None:
        self.members = tuple(Member(transport=one) for one in transports)
        self._active = self.members[0]
        self._options = options
        self._clock = clock
        self._report = report
        self._watch = Watch(self.members, options=options, clock=clock, report=report)
        self._switching = asyncio.Lock()
        self._followers: list[Callable[[], None]] = []
        self._lookers: list[Callable[[], None]] = []

    @property
    def name(self) -> str:
        """Return the name of the active node."""
        return self._active.name

    def fit(self) -> list[Member]:
        """Return the nodes that may be asked now: the active one first, those that failed last."""
        now = self._clock.monotonic()
        found = [one for one in self.members if one.usable(now)]
        return sorted(found, key=lambda one: (one.resting_until > now, one is not self._active))

    def states(self) -> list[NodeState]:
        """Return what is known of each node, in the order of the configuration."""
        now = self._clock.monotonic()
        return [one.state(now, is_active=one is self._active) for one in self.members]

    async def request(self, request: Request, *, timeout_s: float) -> Reply:
        """Ask the active node; a read goes on to the next when there is no answer."""
        if request.is_send:
            return await self._send(request, timeout_s)

        async def ask(node: Transport, wait_s: float) -> Sequence[Reply]:
            return (await node.request(request, timeout_s=wait_s),)

        (reply,) = await self._ask_in_turn(ask, [request], timeout_s)
        return reply

    def prime(self, request: Request) -> Primed[Reply] | None:
        """Make a request ready for the active node; what it does not answer is not repeated.

        It is not written once another node has become the active one, or this one may not be asked.
        """
        member = self._active
        primed = member.transport.prime(request)
        if primed is None:
            return None
        write, touch = primed.write, primed.touch
        return Primed(
            write=lambda: self._may_be_asked(member) and write(),
            touch=lambda: self._may_be_asked(member) and touch(),
            answer=primed.answer,
        )

    def _may_be_asked(self, member: Member) -> bool:
        return member is self._active and member.usable(self._clock.monotonic())

    async def batch(self, requests: Sequence[Request], *, timeout_s: float) -> list[Reply]:
        """Ask the active node for reads; they go on to the next when there is no answer."""
        if not requests:
            return []

        async def ask(node: Transport, wait_s: float) -> Sequence[Reply]:
            return await node.batch(requests, timeout_s=wait_s)

        return list(await self._ask_in_turn(ask, requests, timeout_s))

    async def close(self) -> None:
        """Close every connection."""
        for one in self.members:
            await one.transport.close()

    async def look(self) -> None:
        """Look at every node once, and let another take over if it must or may."""
        await self._watch.look(self._active)
        await self._prefer()
        for see in self._lookers:
            see()

    async def watch(self) -> None:
        """Look at every node again and again."""
        while True:
            await self._clock.sleep(self._options.watch_s)
            await self.look()

    async def leave(self, why: str) -> None:
        """Have another node take over, if one is fit: what the active one answers is no use."""
        left = self._active
        for member in self.fit():
            if member is not left and await self._adopt(member, why):
                left.fit_since = None
                return

    def on_switch(self, follow: Callable[[], None]) -> None:
        """Have ``follow`` called whenever another node has become the active one."""
        self._followers.append(follow)

    def on_look(self, see: Callable[[], None]) -> None:
        """Have ``see`` called whenever every node was looked at."""
        self._lookers.append(see)

    def nobody(self) -> TransientError:
        """Return the error for a pool without a node to ask: why not, node by node."""
        now = self._clock.monotonic()
        found = "; ".join(f"{one.name}: {one.trouble(now) or 'nothing'}" for one in self.members)
        message = f"rpc: expected a node that may be used, found none ({found})"
        waits = [
            one.limited_until - now
            for one in self.members
            if not one.excluded and not one.unfit and one.limited_until > now
        ]
        return RateLimitedError(message, min(waits)) if waits else TransientError(message)

    async def _adopt(self, member: Member, why: str = "") -> bool:
        """Make a node the active one if it proves to be on our chain; tell whether it is.

        ``why`` the one before is left, unless that is known of it.
        """
        if member is self._active:
            return True
        async with self._switching:
            if member is self._active:
                return True
            if not await self._watch.inspect(member):
                return False
            left, self._active = self._active, member
            why = why or left.trouble(self._clock.monotonic()) or "it comes first"
            self._report(Trouble.SWITCHED, f"from {left.name} to {member.name} ({why})")
            for follow in self._followers:
                follow()
            return True

    async def _send(self, request: Request, timeout_s: float) -> Reply:
        """Ask one node, once."""
        for member in self.fit():
            if not await self._adopt(member):
                continue
            try:
                return await member.transport.request(request, timeout_s=timeout_s)
            except TransientError as e:
                self._watch.failed(member, e)
                raise
        raise self.nobody()

    async def _ask_in_turn(
        self, ask: _Ask, requests: Sequence[Request], timeout_s: float
    ) -> Sequence[Reply]:
        """Return the first answers; those of a busy node only when nobody has others."""
        waiting = self.fit()
        failure: TransientError | None = None
        busy: Sequence[Reply] = ()
        while waiting:
            member = waiting.pop(0)
            if not await self._adopt(member):
                continue
            try:
                replies = await ask(member.transport, self._wait_s(requests, timeout_s, waiting))
            except TransientError as e:
                self._watch.failed(member, e)
                failure = e
                continue
            if not self._is_busy(member, requests, replies):
                return replies
            busy = replies
        if busy:
            return busy
        raise failure or self.nobody()

    def _wait_s(
        self, requests: Sequence[Request], timeout_s: float, others: Sequence[Member]
    ) -> float:
        """Return how long to wait for a node: less when there is another to ask."""
        if not others or any(one.method in _SLOW for one in requests):
            return timeout_s
        return min(timeout_s, self._options.patience_s)

    def _is_busy(
        self, member: Member, requests: Sequence[Request], replies: Sequence[Reply]
    ) -> bool:
        """Tell whether a node put us off; it is then asked after the others."""
        for request, reply in zip(requests, replies, strict=True):
            if not isinstance(reply, NodeError):
                continue
            found = meaning(request.method, reply)
            if found is Meaning.LIMITED:
                self._watch.limited(member, wished_wait_s(reply.data))
                return True
            if found is Meaning.BUSY:
                member.failed(self._clock.monotonic())
                return True
        return False

    async def _prefer(self) -> None:
        """Leave an active node that is not fit; go back to an earlier one that long has been."""
        now = self._clock.monotonic()
        if not self._active.usable(now) or self._active.resting_until > now:
            for member in self.fit():
                if await self._adopt(member):
                    return
        for member in self.members[: self.members.index(self._active)]:
            since = member.fit_since
            settled = since is not None and now - since >= self._options.recover_s
            if settled and member.usable(now) and await self._adopt(member):
                return
