"""Carry out plans: judge, rehearse, sign, journal, send. In that order, always."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from keeper.core.accounting import gas_only
from keeper.core.chain import BlockRef, StateOverride
from keeper.core.errors import RefusedError
from keeper.core.lending import AccountRef, Reason, Rejection
from keeper.core.plan import Outcome, Plan, Status, Submission
from keeper.core.ports import Journal, Reader, Simulator
from keeper.core.units import Address
from keeper.executor.backoff import Backoff
from keeper.executor.flight import Flight
from keeper.executor.lanes.lane import Delivery, Lane, Refused, Taken, Uncertain
from keeper.executor.policy import Exposure, Limits, judge
from keeper.executor.rehearse import Decoders, Stage, rehearse
from keeper.executor.signing import SigningDesk
from keeper.executor.standing import DAY, HOUR, Standing
from keeper.executor.tending import Tender

log = structlog.get_logger()

SEND_UNCERTAIN = "send.left_open"
"""The node did not say whether it took a transaction; it will be looked up by its hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Armament:
    """What an armed executor has and a disarmed one has not."""

    desk: SigningDesk
    lane: Lane
    tender: Tender


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of a batch of plans."""

    sent: tuple[Submission, ...] = ()
    shown: tuple[Plan, ...] = ()
    """Disarmed: what would have been sent."""
    rejected: tuple[Rejection, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What the executor stands on: the chain's side, the operator's account, the limits."""

    reader: Reader
    simulator: Simulator
    operator: Address
    limits: Limits
    now: Callable[[], float]
    """Wall clock, unix seconds: budgets are of real hours and days."""
    overrides: Mapping[Address, StateOverride]
    """Set when the executor contract is not deployed: its code and storage for rehearsals."""


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
        self._journal = journal
        self._flight = flight
        self._standing = standing
        self._armament = armament
        self._backoff = Backoff()
        self._shown: set[AccountRef] = set()
        self._turn = asyncio.Lock()
        self._newest = 0

    def price_moved(self) -> None:
        """Let accounts that failed or were shown before be looked at again."""
        self._backoff.forget()
        self._shown.clear()

    def head_seen(self, head: BlockRef) -> None:
        """Take note of the newest head: what is signed from now on aims at the block after it."""
        self._newest = head.number

    def halt(self, why: str) -> None:
        """Stop all sending until a person rearms."""
        self._standing.halt(why)

    def waiting(self, ref: AccountRef, block: int) -> Rejection | None:
        """Return why the account need not be planned at all at ``block``, or None."""
        if (ref.market, ref.account) in self._flight.busy:
            return _no(ref, block, Reason.IN_FLIGHT, "an intent for this account is open")
        until = self._backoff.until(ref, block)
        if until is not None:
            return _no(ref, block, Reason.BACKING_OFF, f"failed before; waits until {until}")
        if ref in self._shown:
            return _no(ref, block, Reason.DISARMED, "shown before; nothing changed since")
        return None

    async def tend(self, head: BlockRef) -> None:
        """Look after what is in flight at ``head``, and whether sending may go on."""
        async with self._turn:
            await self._standing.review()
            if self._armament is not None:
                await self._armament.tender.tend(head, await self._exposure(head))
                await self._standing.review()

    async def carry_out(
        self,
        plans: Sequence[Plan],
        head: BlockRef,
        timestamp: int,
        decoders: Decoders,
        on_sent: Callable[[Plan, Submission], None],
    ) -> Report:
        """Carry out the plans made on ``head``, in their order; tell of each that is sent."""
        async with self._turn:
            exposure = await self._exposure(head)
            untried, tried = await self._untried(plans)
            admitted, refused = self._admit(untried, exposure)
            stage = Stage(
                head=head,
                timestamp=timestamp,
                ahead=self._flight.transactions(),
                overrides=self._grounds.overrides,
            )
            held, failed = await rehearse(admitted, self._grounds.simulator, stage, decoders)
            for rejection in failed:
                self._backoff.failed(rejection.ref, head.number)
            sure, late = self._admit(held, exposure)
            report = await self._finish(sure, on_sent)
        return Report(
            sent=report.sent,
            shown=report.shown,
            rejected=(*tried, *refused, *failed, *late, *report.rejected),
        )

    async def _exposure(self, head: BlockRef) -> Exposure:
        """Return what is spent and at stake at ``head``."""
        now = int(self._grounds.now())
        operator = self._grounds.operator
        armed = self._armament is not None
        return Exposure(
            spent_hour=await self._journal.gas_spent_since(now - HOUR),
            spent_day=await self._journal.gas_spent_since(now - DAY),
            at_stake=self._flight.at_stake,
            in_flight=len(self._flight.airborne),
            busy=self._flight.busy,
            balance=await self._grounds.reader.balance(operator, head) if armed else None,
        )

    async def _untried(self, plans: Sequence[Plan]) -> tuple[list[Plan], list[Rejection]]:
        """Split off the plans that were tried on this very head before: that waits for the next.

        A price can move back and forth within a block, and a keeper be started again in one.
        """
        untried: list[Plan] = []
        tried: list[Rejection] = []
        for plan in plans:
            if await self._journal.tried(plan.id):
                tried.append(_of(plan, Reason.BACKING_OFF, "tried on this block before"))
            else:
                untried.append(plan)
        return untried, tried

    def _admit(
        self, plans: Sequence[Plan], exposure: Exposure
    ) -> tuple[list[Plan], list[Rejection]]:
        """Split plans into those that policy lets through together, and the others."""
        admitted: list[Plan] = []
        rejected: list[Rejection] = []
        for plan in plans:
            rejection = judge(plan, self._grounds.limits, exposure)
            if rejection is not None:
                rejected.append(rejection)
                continue
            admitted.append(plan)
            exposure = exposure.with_plan(plan)
        return admitted, rejected

    async def _finish(
        self, plans: Sequence[Plan], on_sent: Callable[[Plan, Submission], None]
    ) -> Report:
        """Send the plans, or show them; a halt is looked for before anything is signed."""
        if not plans:
            return Report()
        if self._armament is None:
            for plan in plans:
                await self._show(plan)
            return Report(shown=tuple(plans))
        halted = self._standing.halted
        if halted is not None:
            return Report(
                rejected=tuple(
                    _of(plan, Reason.HALTED, f"nothing is sent: {halted}") for plan in plans
                )
            )
        return await self._send(plans, self._armament, on_sent)

    async def _send(
        self,
        plans: Sequence[Plan],
        armament: Armament,
        on_sent: Callable[[Plan, Submission], None],
    ) -> Report:
        """Sign all, put all on disk at once, send all; then see what became of each."""
        desk, lane = armament.desk, armament.lane
        newest = max([self._newest, *(plan.opportunity.block.number for plan in plans)])
        try:
            signed = await desk.sign(
                plans,
                held=self._flight.held(desk.address),
                target_block=newest + 1,
                lane=lane.name,
            )
        except RefusedError as error:
            return Report(rejected=tuple(_of(plan, Reason.POLICY, str(error)) for plan in plans))
        await self._journal.seal(list(zip(plans, signed, strict=True)))
        for plan, submission in zip(plans, signed, strict=True):
            self._flight.took_off(plan, submission)
        deliveries = await lane.send(signed)
        for plan, submission, delivery in zip(plans, signed, deliveries, strict=True):
            if not isinstance(delivery, Refused):
                on_sent(plan, submission)
        return await self._booked(plans, signed, deliveries, desk)

    async def _booked(
        self,
        plans: Sequence[Plan],
        signed: Sequence[Submission],
        deliveries: Sequence[Delivery],
        desk: SigningDesk,
    ) -> Report:
        """Journal what became of each transaction."""
        taken = [
            one for one, done in zip(signed, deliveries, strict=True) if isinstance(done, Taken)
        ]
        await self._journal.record_all_sent(taken)
        sent: list[Submission] = []
        rejected: list[Rejection] = []
        # From the last: a nonce is free again only when nothing above it is in flight.
        for plan, submission, delivery in reversed(
            list(zip(plans, signed, deliveries, strict=True))
        ):
            if isinstance(delivery, Refused):
                rejected.append(await self._refused(plan, submission, delivery.why, desk))
                continue
            sent.append(submission)
            if isinstance(delivery, Uncertain):
                log.warning(SEND_UNCERTAIN, plan=plan.id, tx=submission.tx_hash, why=delivery.why)
        return Report(sent=tuple(reversed(sent)), rejected=tuple(reversed(rejected)))

    async def _refused(
        self, plan: Plan, submission: Submission, why: str, desk: SigningDesk
    ) -> Rejection:
        """Close an intent that never got in flight; one below others stays, to fill its nonce."""
        self._backoff.failed(plan.ref, plan.opportunity.block.number)
        if max(self._flight.held(desk.address)) == submission.nonce:
            self._flight.landed(plan.id)
            desk.nonces.released(submission.nonce)
            await self._journal.settle(_unsent(plan, Status.DROPPED, why))
        return _of(plan, Reason.POLICY, why)

    async def _show(self, plan: Plan) -> None:
        """Record what would have been sent."""
        self._shown.add(plan.ref)
        await self._journal.intend(plan)
        await self._journal.settle(_unsent(plan, Status.SIMULATED, "disarmed"))


def _unsent(plan: Plan, status: Status, detail: str) -> Outcome:
    return Outcome(
        plan_id=plan.id,
        status=status,
        tx_hash=None,
        block=None,
        gas_used=0,
        realised=gas_only(0),
        liquidations=(),
        detail=detail,
    )


def _of(plan: Plan, reason: Reason, detail: str) -> Rejection:
    return _no(plan.ref, plan.opportunity.block.number, reason, detail)


def _no(ref: AccountRef, block: int, reason: Reason, detail: str) -> Rejection:
    return Rejection(ref=ref, block=block, reason=reason, detail=detail)
