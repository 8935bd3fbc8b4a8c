"""Carry out plans: judge, rehearse, sign, journal, send. In that order, always."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile

from keeper.core.chain import BlockRef
from keeper.core.joint import Joint
from keeper.core.lending import AccountRef, Reason, Rejection
from keeper.core.pending import Lead
from keeper.core.plan import Plan, Submission
from keeper.core.ports import Journal
from keeper.core.tick import Tick
from keeper.core.units import Address, Hash32
from keeper.core.values import replace
from keeper.executor.armament import Armament
from keeper.executor.asking_chain import AskingChain
from keeper.executor.backoff import Backoff
from keeper.executor.batching import Batcher
from keeper.executor.booking import Booking, Out
from keeper.executor.dividing import Decoders
from keeper.executor.door import Door, Grounds
from keeper.executor.early import Early
from keeper.executor.flight import Flight
from keeper.executor.lanes.lane import Delivery, Refused, posted, sent, withheld
from keeper.executor.policy import Exposure
from keeper.executor.rehearsals import Rehearsal, Rehearsals
from keeper.executor.rehearse import Stage
from keeper.executor.rehearsing_ahead import RehearsingAhead
from keeper.executor.seam import Seam
from keeper.executor.standing import Standing
from keeper.executor.verdicts import (
    Rejections,
    Report,
    of_account,
    of_all,
    of_barred,
    of_busy,
)
from keeper.runtime.begun import begun


class Executor:
    """Sends, or shows, the plans of every deployment on one chain."""

    def __init__(
        self,
        grounds: Grounds,
        *,
        journal: Journal,
        flight: Flight,
        standing: Standing,
        armament: Armament | None,
    ) -> None:
        """Make an executor. Without an armament it is disarmed: it rehearses and shows."""
        self._grounds = grounds
        desks = None if armament is None else armament.desks
        self._door = Door(grounds, journal=journal, flight=flight, desks=desks)
        self._batcher = Batcher(grounds, self._door, flight)
        self._journal = journal
        self.flight = flight
        self.standing = standing
        self._armament = armament
        self.backoff = Backoff()
        self._booking = Booking(journal=journal, flight=flight, backoff=self.backoff)
        self._shown: set[AccountRef] = set()
        self._turn = asyncio.Lock()
        self.newest: BlockRef | None = None
        """The newest head."""
        self._next_head = asyncio.Event()
        self._tick = Tick()
        self._early = Early(flight, journal)
        self._exposure: Exposure | None = None
        """These are of what is being carried out now, as the tick is; the last as it was begun."""
        self.rehearsing_ahead = RehearsingAhead(grounds, flight, armament)
        simulator = self.rehearsing_ahead.simulator
        self._rehearsals = Rehearsals(simulator, self._door, flight, self.backoff)
        self._asking_chain = AskingChain(armament)
        self.seam = Seam()
        """From the first signature to the last entry in the books."""

    def price_moved(self) -> None:
        """Let accounts that failed or were shown before be looked at again."""
        self.backoff.forget()
        self._shown.clear()

    def head_seen(self, head: BlockRef) -> None:
        """Take note of the newest head: what is signed from now on aims at the block after it."""
        self.newest = head
        self._next_head.set()
        self._next_head = asyncio.Event()

    def _next_block(self, *heads: BlockRef) -> int:
        """Return the first block that can have what is signed now, by what was told of heads."""
        newest = (*heads, self.newest) if self.newest is not None else heads
        return max(one.number for one in newest) + 1

    async def heard(self, block_hash: Hash32) -> BlockRef:
        """Return the head of that hash once it is the newest; never, where it never is."""
        while self.newest is None or self.newest.hash != block_hash:
            await self._next_head.wait()
        return self.newest

    def halt(self, why: str) -> None:
        """Stop all sending until a person rearms."""
        self.standing.halt(why)

    def waiting(self, ref: AccountRef, block: int) -> Rejection | None:
        """Return why the account need not be planned at all at ``block``, or None."""
        if (ref.market, ref.account) in self.flight.busy:
            return of_account(ref, block, Reason.IN_FLIGHT, "an intent for this account is open")
        until = self.backoff.until(ref, block)
        if until is not None:
            return of_account(ref, block, Reason.BACKING_OFF, f"failed before; waits until {until}")
        if ref in self._shown:
            return of_account(ref, block, Reason.DISARMED, "shown before; nothing changed since")
        return None

    @property
    def balances(self) -> Mapping[Address, int]:
        """Return what each operator held when last read, wei; who was not read is left out."""
        tenders = () if self._armament is None else self._armament.tenders
        return {one.address: one.balance for one in tenders if one.balance is not None}

    def over_totals(self, plans: Sequence[Plan]) -> bool:
        """Return whether the budgets over all chains leave no room for all the plans just now."""
        return self._door.over_totals(plans)

    async def make_ready(self, head: BlockRef) -> None:
        """Begin to read what carrying out at ``head`` needs, and ask which chain it is."""
        self._asking_chain.ask(head)
        await self.exposure(head)

    async def exposure(self, head: BlockRef) -> Exposure:
        """Return what is spent and at stake at ``head``."""
        return await self._door.exposure(head)

    async def to_run(self, block: BlockRef) -> frozenset[str]:
        """Return the plans that were sent and have not run at ``block``, whatever became since."""
        return self.flight.plan_ids(await self._door.nonces(block, is_newest=False))

    async def tend(self, head: BlockRef) -> None:
        """Look after what is in flight at ``head``, and whether sending may go on.

        Raises what kept one key's from being looked after, once those of the others were.
        """
        if self._armament is not None:
            await self.exposure(head)  # before the turn: others may be waiting for that
        async with self._turn:
            await self.standing.review()
            if (share := self._grounds.share) is not None:
                await share.look(head)
            if self._armament is not None:
                failed = await self._armament.tend(head, self.exposure, self._next_block)
                await self._armament.desks.count(self.flight)
                await self.standing.review()
                if failed is not None:
                    raise failed

    async def carry_out(
        self,
        joint: Joint,
        head: BlockRef,
        timestamp: int,
        decoders: Decoders,
        on_sent: Callable[[Plan, Submission], None],
        tick: Tick | None = None,
        lead: Lead | None = None,
    ) -> Report:
        """Carry out the plans made on ``head``, in their order; tell of each that is sent.

        Where one is taken out on the way, those that counted on it are made anew. With a ``lead``
        they are rehearsed and sent right behind it, and never without it. The turn ends once they
        are out: a relay, builder or node that does not answer holds up nobody else's.
        """
        exposure = await self.exposure(head)  # before the turn: others may be waiting for that
        async with self._turn:
            self._tick = tick or Tick()
            self._early = Early(self.flight, self._journal)
            exposure = self._exposure = exposure.by_now(self.flight)
            untried, tried = await self._door.untried(self._door.spread(joint.plans, exposure))
            admitted, refused = self._door.admit(untried, exposure)
            if tried or refused:
                admitted, gone = joint.remake(admitted)
                refused += gone
            self._tick.mark("judge")
            stage = Stage(
                head=head,
                timestamp=timestamp,
                ahead=await self._door.ahead(head, self.newest, lead),
                overrides=self._grounds.overrides,
                remake=joint.remake,
                is_whole=joint.is_whole,
                is_led=lead is not None,
            )
            try:
                if self._armament is not None:
                    asks = not self._asking_chain.has_asked(head)
                    is_final = not self._batcher.may_join(admitted, joint)
                    signs = is_final and self.standing.halted is None
                    self._early.begin(admitted, self._armament, asks=asks, signs=signs)
                case = Rehearsal(exposure=exposure, decoders=decoders, tick=self._tick)
                sure, failed = await self._rehearsals.held(admitted, stage, case)
                sure, left = await self._batcher.batched(sure, joint, exposure, stage, decoders)
                failed += left
                sure, late = await self._rehearsals.again(sure, self.newest, stage, case, lead)
                out = await self._finish(sure, joint, lead)
            finally:
                self._door.release()
                await self._early.end()
        report = await self._answered(out, on_sent, is_behind=lead is not None)
        return replace(report, rejected=(*tried, *refused, *failed, *late, *report.rejected))

    async def book(
        self,
        plans: Sequence[Plan],
        signed: Sequence[Submission],
        deliveries: Sequence[Delivery],
        *,
        is_behind: bool = False,
    ) -> Report:
        """Journal what became of transactions that were sent; it may have been blocks ago."""
        if self._armament is None:
            return Report()
        desks, pairs = self._armament.desks, list(zip(plans, signed, strict=True))
        async with self._turn:
            return await self._booking.book(pairs, deliveries, desks, is_behind=is_behind)

    async def _finish(self, plans: Sequence[Plan], joint: Joint, lead: Lead | None) -> Out:
        """Send the plans, or show them; a halt is looked for before anything is signed."""
        if not plans:
            return Out()
        if self._armament is None:
            shown = [one for plan in plans for one in plan.members]
            self._shown.update(one.ref for one in shown)
            return Out(report=await self._booking.show(shown))
        halted = self.standing.halted
        if halted is not None:
            each = ((plan, f"nothing is sent: {halted}") for plan in plans)
            return Out(report=Report(rejected=of_all(each, Reason.HALTED)))
        with self.seam:
            return await self._send(plans, joint, self._armament, lead)

    async def _send(
        self, plans: Sequence[Plan], joint: Joint, armament: Armament, lead: Lead | None
    ) -> Out:
        """Sign all, put all on disk at once, send all."""
        desks, lane = armament.desks, armament.lane
        target = self._next_block(*(plan.opportunity.block for plan in plans))
        async with self.flight.numbered():
            plans, late = self._still(plans, joint)
            if not plans:
                return Out(report=Report(rejected=late))
            done, launch = await self._early.signed(plans, armament, target, self._tick)
            for plan, submission in done.pairs:
                self.flight.took_off(plan, submission)
            self._door.release()  # it counts in flight from now on, on other chains too
        signed = [one for _, one in done.pairs]
        no = Report(rejected=(*late, *of_all(done.refused, Reason.POLICY)))
        if (halted := self.standing.halted) is not None:
            await launch()
            kept = withheld(signed, halted)
            report = await self._booking.book(done.pairs, kept, desks, is_behind=lead is not None)
            return Out(report=no.and_then(report))
        try:
            written = posted(signed, lane, lead, self._tick)
        finally:  # what is out is an open intent, whatever befell the next one
            await launch()
        answers = begun(sent(signed, lane, lead, self._tick, written))
        return Out(report=no, pairs=done.pairs, answers=answers)

    async def _answered(
        self, out: Out, on_sent: Callable[[Plan, Submission], None], *, is_behind: bool = False
    ) -> Report:
        """See what became of each that is out, without the turn; journal it."""
        if out.answers is None:
            return out.report
        plans, signed = [plan for plan, _ in out.pairs], [one for _, one in out.pairs]
        with self.seam:
            deliveries = await out.answers
            for plan, submission, delivery in zip(plans, signed, deliveries, strict=True):
                for one in () if isinstance(delivery, Refused) else plan.members:
                    on_sent(one, submission)
            report = await self.book(plans, signed, deliveries, is_behind=is_behind)
        return out.report.and_then(report)

    def _still(self, plans: Sequence[Plan], joint: Joint) -> tuple[Sequence[Plan], Rejections]:
        """Return the plans that may go after what others did since all were judged.

        Whoever stands behind one over a limit was rehearsed behind it, and goes no more either.
        """
        late = of_busy(plans, self.flight.busy) or of_barred(plans, joint.bar)
        before = self._exposure
        if late or before is None or before.as_of == self.flight.changes:
            return ([] if late else plans), late
        admitted, over = self._door.admit(plans, before.by_now(self.flight))
        both = zip(plans, admitted, strict=False)
        sure = [one for one, _ in takewhile(lambda pair: pair[0] is pair[1], both)]
        gone = ((plan, over[0].detail) for plan in plans[len(sure) :])
        return sure, of_all(gone, over[0].reason) if over else ()
