"""Acting on what was seen: from the newest look to the executor, and what is said of the rest.

Looks come through a one-slot mailbox: before commitment the newest wins. An error that a later
block can mend skips a block.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Generic, TypeVar

from keeper.app.aiming import Aim
from keeper.app.batch import ALL, Batch
from keeper.app.books import Appraiser
from keeper.app.fresh import Fresh
from keeper.app.observer import Observer
from keeper.app.parity import Parity
from keeper.app.planning import Planning
from keeper.app.planning_ahead import FEW
from keeper.app.reading_ahead import ReadingAhead
from keeper.app.refusals import gas_capped
from keeper.app.sight import Look, foremost
from keeper.app.skipping import RETRY_S, SKIPPED, TRIES
from keeper.app.telling import Telling
from keeper.app.turns import Turns
from keeper.chain.errors import GasCappedError
from keeper.core.chain import BlockRef
from keeper.core.joint import Joint
from keeper.core.lending import AccountRef, Option, Rejection
from keeper.core.pending import Lead
from keeper.core.plan import Opportunity, Plan, Submission
from keeper.core.ports import Journal, ProtocolAdapter
from keeper.core.tick import Tick
from keeper.core.values import replace
from keeper.executor.dividing import Decoders
from keeper.executor.executor import Executor
from keeper.oracle.watcher import PriceWatcher
from keeper.runtime.latest import Latest
from keeper.runtime.precedence import Precedence
from keeper.scanner.scan import Book

M = TypeVar("M")
P = TypeVar("P")


class Acting(Generic[M, P]):
    """Plans for the accounts of one deployment and hands the plans to the executor."""

    def __init__(  # noqa: PLR0913 - it introduces the rooms to each other
        self,
        *,
        adapter: ProtocolAdapter[M, P],
        planning: Planning[M, P],
        executor: Executor,
        journal: Journal,
        watcher: PriceWatcher,
        appraiser: Appraiser[M, P],
        parity: Parity[M, P],
        aim: Aim[M, P],
        decoders: Callable[[M], Decoders],
        min_debt_base: int,
        part: int,
        observer: Observer,
        precedence: Precedence,
        timed: Callable[[Tick], None] = lambda _: None,
    ) -> None:
        """Leave accounts alone that owe less than ``min_debt_base``, in their market's unit.

        ``part`` accounts at most are planned before what they bring is sent; they go first.
        ``timed`` hears how long each look took that something was sent upon.
        """
        self.appraiser = appraiser
        self.decoders = decoders
        """How to read this deployment's transactions, given its market."""
        self._adapter = adapter
        self.planning = planning
        self._executor = executor
        self._parity = parity
        self._aim = aim
        self._fresh = Fresh(executor, parity, min_debt_base=min_debt_base)
        self._part = part
        self._observer = observer
        self._precedence = precedence
        self._timed = timed
        self.reading_ahead = ReadingAhead(planning, executor, parity, appraiser)
        self._mail: Latest[Look[M, P]] = Latest(foremost)
        self.telling = Telling(adapter, watcher, journal, observer)
        self._turns = Turns()
        self._guessed: Book[M, P] | None = None
        """What was planned ahead of its reads."""
        self.acted_on = -1
        """The newest block whose opportunities were dealt with."""

    def take(self, market: M) -> None:
        """Prepare for looks at the newest market."""
        self.appraiser.take(market)
        self._aim.take(market)

    def offer(self, look: Look[M, P]) -> None:
        """Take the newest look, or leave it for one that waits (``foremost``)."""
        self._mail.offer(look)
        found = look.found.opportunities
        if found and self._mail.waiting is look:
            self._precedence.claim(self._adapter.deployment)
            self.read_ahead(look.book.block, {one.ref: one.options for one in found})

    def foremost(self, refs: Iterable[AccountRef]) -> list[AccountRef]:
        """Return whom to read ahead for."""
        return self._turns.foremost(refs)

    def read_ahead(self, block: BlockRef, crossed: Mapping[AccountRef, Sequence[Option]]) -> None:
        """Begin to read what a look at ``block`` will need: at a price's event, else with it."""
        options = [one for options in crossed.values() for one in options]
        self.reading_ahead.begin(block, options, self.foremost(crossed))

    def price_moved(self) -> None:
        """Hear that what an account is worth may have changed since the last look."""
        self._executor.price_moved()

    async def run(self) -> None:
        """Take the newest look to the executor, until closed."""
        try:
            async for look in self._mail:
                await self._try_on(look)
                if look.of_all:
                    self.acted_on = look.book.block.number
                if not self._mail.is_waiting:
                    self._precedence.release(self._adapter.deployment)
        finally:  # nobody waits for what has failed
            self._precedence.release(self._adapter.deployment)

    async def _try_on(self, look: Look[M, P]) -> None:
        """Act on a look, again where its reads fail and nothing newer comes."""
        for _ in range(TRIES):
            try:
                return await self._act_on(look)
            except SKIPPED as error:
                self._observer.skipped(self._adapter.deployment, str(error))
            if self._is_overtaken(look):
                return None
            await asyncio.sleep(RETRY_S)
        return None

    def close(self) -> None:
        """Let ``run`` finish what it has begun and end; what waits is not begun any more."""
        self._mail.take()
        self._mail.close()
        self._precedence.release(self._adapter.deployment)

    async def _act_on(self, look: Look[M, P]) -> None:
        """Plan and carry out at the block after the book's."""
        book, found = look.book, look.found
        self._observer.scanned(
            self._adapter.deployment, book.block, len(found.opportunities), book.moved
        )
        rejected = list(found.rejections)
        now, later = self._turns.divided(self._fresh.among(found, rejected), of_all=look.of_all)
        if self._turns.sent:
            self._turns.keep_unrun(await self._executor.to_run(look.held_at))
        if now:
            rejected += await self._carry_out(look, now)
        await self.telling.tell(rejected, book)
        if later:
            await self.telling.tell(await self._catch_up(look, later), book)

    def guess(self, look: Look[M, P]) -> None:
        """Plan for a look, from what is at hand before all is read, and begin to rehearse that.

        Nothing comes of it but that the same plan, and the same rehearsal, are there sooner.
        """
        self._guessed = look.book
        fresh, _ = self._turns.divided(self._fresh.among(look.found, []), of_all=False)
        if not 0 < len(fresh) <= FEW or self._aim.moves(look, fresh):
            return
        batch, _ = self._valued(look, look.found.view, fresh)
        plans = self.planning.guess(batch)
        look.tick.mark("plan")
        self._executor.rehearsing_ahead.begin(plans, look.found.block, look.found.timestamp)

    async def follow(self, look: Look[M, P], lead: Lead) -> list[Rejection]:
        """Plan and carry out right behind a pending transaction; return what is not taken."""
        rejected = list(look.found.rejections)
        fresh = self._fresh.among(look.found, rejected)
        if fresh:
            rejected += await self._carry_out(look, fresh, lead)
        return rejected

    async def _carry_out(
        self, look: Look[M, P], fresh: Sequence[Opportunity], lead: Lead | None = None
    ) -> list[Rejection]:
        """Plan and execute; return what is not taken."""
        batch, rejected = await self._batch(look, fresh, lead)
        first = [one.ref for one in batch.opportunities[: self._part]]
        comparing = asyncio.ensure_future(self._parity.check_ahead(first))
        try:
            async with aclosing(self.planning.plan(batch)) as parts:
                async for joint, left in parts:
                    look.tick.mark("plan")
                    await comparing
                    if lead is None:  # what anybody may send has nobody wait behind others
                        self._turns.refused([one.ref for one in left], look.book.block.number)
                    rejected += [*left, *await self._send(look, joint, lead)]
                    if self._is_overtaken(look):
                        break
        except GasCappedError as error:
            rejected += gas_capped(batch.opportunities, error)
        finally:
            await comparing
        return rejected

    def _is_overtaken(self, look: Look[M, P]) -> bool:
        """Return whether a look waits that is no older, or none is to be acted on any more."""
        waiting = self._mail.waiting
        return self._mail.is_waiting and (waiting is None or not waiting.is_before(look))

    async def _catch_up(self, look: Look[M, P], later: Sequence[Opportunity]) -> list[Rejection]:
        """Plan those refused before, one by one behind what is sent, until a newer look."""
        batch, rejected = await self._batch(look, later)
        try:
            async with aclosing(self.planning.plan_each(batch)) as each:
                async for one in each:
                    if isinstance(one, Rejection):
                        self._turns.refused([one.ref], look.book.block.number)
                        rejected.append(one)
                    else:
                        rejected += await self._send(look, Joint(plans=[one]))
                    if self._is_overtaken(look):
                        break
        except GasCappedError as error:
            rejected += gas_capped(batch.opportunities, error)
        return rejected

    async def _batch(
        self, look: Look[M, P], fresh: Sequence[Opportunity], lead: Lead | None = None
    ) -> tuple[Batch[M, P], list[Rejection]]:
        """Return what to plan from, and whom nothing can be said of."""
        if self.reading_ahead.is_waiting and self._guessed is not look.book and lead is None:
            await self.reading_ahead.asked()
            self.guess(look)
        await self.reading_ahead.done()
        aimed = await self._aim.at_target(look, fresh, lead)
        view, fresh = aimed.view, aimed.opportunities
        await self.appraiser.prepare(view, [one.ref for one in fresh], look.book.block)
        batch, unvalued = self._valued(look, view, fresh, ALL if lead else self._part)
        return batch, [*aimed.rejections, *unvalued]

    def _valued(
        self, look: Look[M, P], view: M, fresh: Sequence[Opportunity], part: int = ALL
    ) -> tuple[Batch[M, P], list[Rejection]]:
        """Return what to plan from ``part`` by part, and whom nothing can be said of."""
        valuations, unvalued = self.appraiser.values(view, fresh)
        batch = Batch(
            adapter=self._adapter,
            view=view,
            book=look.book,
            opportunities=[one for one in fresh if one.ref in valuations],
            valuations=valuations,
            part=part,
            sent=self._turns.sent,
        )
        return batch, unvalued

    async def _send(
        self, look: Look[M, P], joint: Joint, lead: Lead | None = None
    ) -> list[Rejection]:
        """Audit the plans' accounts and execute; return what is not taken."""
        found, tick = look.found, look.tick

        def on_sent(plan: Plan, submission: Submission) -> None:
            self._turns.sent.append(plan)
            self._observer.sent(plan, submission)

        going, drifted = await self._parity.sound(self._adapter.deployment, joint.everybody)
        sound, gone = joint.among(going)
        tick.mark("audit")
        report = await self._executor.carry_out(
            replace(
                sound,
                merging=None if lead else joint.merging,
                bar=self._parity.bar_plan,
                is_whole=lead is None and look.held_at == look.book.block,
            ),
            found.block,
            found.timestamp,
            self.decoders(look.book.market),
            on_sent,
            tick,
            lead,
        )
        if lead is None:
            self._turns.over_budget(report.rejected, found.block.number)
        behind = {one.plan.ref for one in joint.additions}
        late = [one.ref for one in report.rejected if one.ref in behind]
        self._turns.refused(late, found.block.number)
        if report.sent:
            self._timed(tick)
        for plan in report.shown:
            self.telling.show(plan)
        return [*drifted, *gone, *report.rejected]
