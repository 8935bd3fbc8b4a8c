"""One deployment apart from the others of its chain: a fault of ours in it ends it alone.

It is taken out at once, whatever of it is on its way; what it has in flight is the chain's to
settle. After a while it is opened anew as at a start, and every account is read again: nothing of
what failed is trusted. A fault is the chain's where it broke a promise, where it struck between a
signature and the books, or where no other deployment is left to go on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Final

import structlog

from keeper.app.deployment import Deployment
from keeper.app.faults import is_broken_promise, kind_of, unforeseen, words_of
from keeper.app.observer import Observer
from keeper.app.skipping import RETRY_S, TRIES
from keeper.core.chain import BlockRef, Log, LogFilter, LogHint
from keeper.core.pending import PendingTransaction
from keeper.executor.seam import Seam
from keeper.runtime.clock import Clock
from keeper.runtime.garbage import keep_for_good, let_go
from keeper.runtime.lasting import lasting
from keeper.runtime.latest import Latest
from keeper.runtime.spacing import Spacing
from keeper.runtime.stopping import done_before

log = structlog.get_logger()

DEPLOYMENT_FAILED = "deployment.failed"

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 600.0
"""Before a deployment that failed is opened anew; each time twice as long. Reading every account
takes its time of the node and of the others."""
STEADY_S: Final = 3_600.0
"""A deployment that ran so long failed anew, not again."""

NOTHING: Final = LogFilter(addresses=frozenset(), topics=frozenset())

# Any: each deployment has its own market and position types; nothing here opens them.
AnyDeployment = Deployment[Any, Any]


class Compartment:
    """Runs one deployment, and a new one in its place after a fault, until closed."""

    def __init__(
        self, build: Callable[[], AnyDeployment], seam: Seam, observer: Observer, clock: Clock
    ) -> None:
        """Run what ``build`` makes; a fault that tears the ``seam`` of sending is the chain's."""
        self._build = build
        self._seam = seam
        self._observer = observer
        self._clock = clock
        self.deployment = build()
        """The newest that could be opened; after a fault the one that failed, for its auditor."""
        self.others_are_sound: Callable[[], bool] = lambda: False
        self._mail: Latest[BlockRef] = Latest()
        self._newest: BlockRef | None = None
        self._is_read = False
        self._is_out = False
        self._grave: Exception | None = None
        """A fault that is the chain's."""
        self._is_grave = asyncio.Event()
        self._closing = asyncio.Event()
        self._spacing = Spacing(first_s=FIRST_WAIT_S, longest_s=LONGEST_WAIT_S, steady_s=STEADY_S)
        self._wait_s = FIRST_WAIT_S
        self._since = clock.monotonic()
        self._filter = NOTHING

    @property
    def is_sound(self) -> bool:
        """Whether its deployment is read, and neither failed nor paused as a whole."""
        return self._is_read and not self._is_out and not self.deployment.is_paused

    @property
    def price_filter(self) -> LogFilter:
        """The events that move its deployment's prices; while it is out those of before."""
        if self._takes:
            try:
                self._filter = self.deployment.price_filter
            except Exception as error:  # noqa: BLE001 - whatever it is, it is of this one alone
                self.strike(error)
        return self._filter

    @property
    def sample(self) -> bytes | None:
        """An event that would bring the first of what was signed ahead, for drills."""
        prearming = self.deployment.outlook.prearming
        return prearming.sample if self._takes and prearming is not None else None

    @property
    def _takes(self) -> bool:
        return self.is_sound and not self._closing.is_set()

    async def start(self, head: BlockRef) -> None:
        """Fill the mirror. Raises what its deployment met."""
        self._newest = head
        await self.deployment.start(head)
        self._is_read = True
        if not self.deployment.is_barred:
            self._observer.begun(self.deployment.name)

    async def run(self) -> None:
        """Run its deployment, and again after each fault, until closed.

        Raises a fault that is the chain's, alone or in a group.
        """
        while True:
            if not self._is_out:
                await self._until_ended()
            if not self._is_out or not await self._opened_anew():
                return

    def see_head(self, head: BlockRef) -> None:
        """Leave a new head for the watcher."""
        self._newest = head
        self._mail.offer(head)

    async def see_price(self, event: Log) -> None:
        """Hand a price event on."""
        if self._takes:
            await self._contained(partial(self.deployment.see_price, event))

    def hear_price(self, hint: LogHint, at_ns: int) -> None:
        """Hand a price event on as its bytes come."""
        if self._takes:
            try:
                self.deployment.hear_price(hint, at_ns)
            except Exception as error:  # noqa: BLE001 - the next one's turn comes in this call
                self.strike(error)

    def see_pending(self, transaction: PendingTransaction) -> None:
        """Hand on a transaction that may move a price."""
        if self._takes:
            try:
                self.deployment.see_pending(transaction)
            except Exception as error:  # noqa: BLE001 - the next one's turn comes in this call
                self.strike(error)

    def close(self) -> None:
        """Begin nothing more; what acts finishes what it has begun and ends."""
        self._closing.set()
        self._mail.close()
        self.deployment.close()

    async def checkpoint(self) -> None:
        """Leave what is sound for the next start."""
        if not self.is_sound:
            return
        try:
            await self.deployment.checkpoint()
        except Exception as error:
            if self._is_the_chains(error):
                raise
            self.take_out(error)

    def strike(self, error: Exception) -> None:
        """Take its deployment out for a fault, or have ``run`` raise one that is the chain's."""
        if self._is_the_chains(error):
            self._grave = self._grave or error
            self._is_grave.set()
            self._end()
            self.deployment.pause(words_of(error))
        else:
            self.take_out(error)

    def blame(self, error: Exception) -> None:
        """Take its deployment out, where it is not yet, for what is its own and befell others."""
        if self.is_sound:
            self.strike(error)

    def take_out(self, error: Exception) -> None:
        """Let nothing more of its deployment be begun, signed or fired, and say why."""
        if not self._is_out:
            self._wait_s = self._spacing.after(self._clock.monotonic() - self._since)
        self._end()
        self._tell(error)

    def _end(self) -> None:
        self._is_out = True
        self._mail.close()
        self.deployment.close()

    def _tell(self, error: Exception) -> None:
        deployment, why = self.deployment, words_of(error)
        deployment.pause(f"{why}; it is opened anew after {self._wait_s:g} s, the others go on")
        log.error(
            DEPLOYMENT_FAILED,
            deployment=deployment.name,
            kind=kind_of(error),
            why=why,
            exc_info=unforeseen(error),
        )

    def _is_the_chains(self, error: Exception) -> bool:
        return is_broken_promise(error) or self._seam.is_torn or not self.others_are_sound()

    async def _until_ended(self) -> None:
        """Run the loops until each has ended by itself: what is being sent is not broken off."""
        async with asyncio.TaskGroup() as group:
            judging = group.create_task(self._judge())
            loops = [group.create_task(self._lasting(one)) for one in self._loops()]
            await asyncio.wait(loops)
            if self._grave is None:
                judging.cancel()

    async def _judge(self) -> None:
        await self._is_grave.wait()
        if self._grave is not None:
            raise self._grave

    async def _contained(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - what it is, is for ``strike`` to say
            self.strike(error)

    async def _lasting(self, loop: Callable[[], Awaitable[None]]) -> None:
        await self._contained(partial(lasting, loop, lambda: self._mail.is_closed))

    def _loops(self) -> Iterator[Callable[[], Awaitable[None]]]:
        deployment = self.deployment
        yield self._watch
        yield deployment.acting.run
        yield from deployment.outlook.loops()

    async def _watch(self) -> None:
        async for head in self._mail:
            for _ in range(TRIES):
                if await self.deployment.see_head(head) or self._mail.is_waiting:
                    break
                await asyncio.sleep(RETRY_S)

    async def _opened_anew(self) -> bool:
        """Open another in the place of what failed, when it is time; False when closed first."""
        while not await self._closed_within(self._wait_s):
            try:
                self.deployment.shelf.forget_book()
                fresh = self._build()
                if not await done_before(self._closing, self._filled(fresh)):
                    return False
            except Exception as error:
                if self._is_the_chains(error):
                    raise
                self._wait_s = self._spacing.after(0)
                self._tell(error)
            else:
                self._take_up(fresh)
                return True
        return False

    async def _filled(self, fresh: AnyDeployment) -> None:
        if self._newest is None:
            return
        try:
            await fresh.start(self._newest)
        except BaseException:
            fresh.close()
            raise

    def _take_up(self, fresh: AnyDeployment) -> None:
        """Go on with another deployment from the newest head."""
        let_go()
        self.deployment, self._mail = fresh, Latest()
        self._is_read, self._is_out, self._since = True, False, self._clock.monotonic()
        if self._newest is not None:
            self._mail.put(self._newest)
        if not fresh.is_barred:  # what of it is paused was told while it was filled
            self._observer.resumed(fresh.name)
        keep_for_good()

    async def _closed_within(self, wait_s: float) -> bool:
        try:
            async with asyncio.timeout(wait_s):
                await self._closing.wait()
        except TimeoutError:
            return False
        return True
