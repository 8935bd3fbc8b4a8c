"""Carry out plans: judge, rehearse, journal, sign, send. In that order, always."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from keeper.core.accounting import gas_only
from keeper.core.chain import BlockRef, StateOverride
from keeper.core.errors import RefusedError, TransientError
from keeper.core.lending import AccountRef, Reason, Rejection
from keeper.core.plan import Outcome, Plan, Status, Submission
from keeper.core.ports import Journal, Reader, Simulator
from keeper.core.units import Address
from keeper.executor.backoff import Backoff
from keeper.executor.flight import Flight
from keeper.executor.policy import Exposure, Limits, judge
from keeper.executor.rehearse import Decoders, Stage, rehearse

log = structlog.get_logger()

SEND_UNCERTAIN = "send.left_open"
"""The node did not say whether it took a transaction; it will be looked up by its hash."""

HOUR = 3_600
DAY = 86_400


class Lane(Protocol):
    """A way to the chain for signed transactions."""

    async def sign(self, plan: Plan) -> Submission:
        """Sign a plan and put the transaction on disk; raise RefusedError if it may not be."""
        ...

    async def send(self, submission: Submission) -> None:
        """Send it once. RefusedError: not in flight. TransientError: perhaps in flight."""
        ...


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
        self, grounds: Grounds, *, journal: Journal, flight: Flight, lane: Lane | None
    ) -> None:
        """Make an executor. Without a lane it is disarmed: it rehearses and shows."""
        self._grounds = grounds
        self._journal = journal
        self._flight = flight
        self._lane = lane
        self._backoff = Backoff()
        self._shown: set[AccountRef] = set()
        self._turn = asyncio.Lock()

    def price_moved(self) -> None:
        """Let accounts that failed or were shown before be looked at again."""
        self._backoff.forget()
        self._shown.clear()

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
            admitted, refused = self._admit(plans, exposure)
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
            return await self._finish(sure, (*refused, *failed, *late), on_sent)

    async def _exposure(self, head: BlockRef) -> Exposure:
        """Return what is spent and at stake at ``head``."""
        now = int(self._grounds.now())
        operator = self._grounds.operator
        armed = self._lane is not None
        return Exposure(
            spent_hour=await self._journal.gas_spent_since(now - HOUR),
            spent_day=await self._journal.gas_spent_since(now - DAY),
            at_stake=self._flight.at_stake,
            in_flight=len(self._flight.airborne),
            busy=self._flight.busy,
            balance=await self._grounds.reader.balance(operator, head) if armed else None,
        )

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
        self,
        plans: Sequence[Plan],
        rejected: Sequence[Rejection],
        on_sent: Callable[[Plan, Submission], None],
    ) -> Report:
        """Journal each plan, then send or show it."""
        if self._lane is None:
            for plan in plans:
                await self._show(plan)
            return Report(shown=tuple(plans), rejected=tuple(rejected))
        sent: list[Submission] = []
        refused: list[Rejection] = []
        for plan in plans:
            done = await self._send(plan, self._lane)
            if isinstance(done, Rejection):
                refused.append(done)
            else:
                sent.append(done)
                on_sent(plan, done)
        return Report(sent=tuple(sent), rejected=(*rejected, *refused))

    async def _send(self, plan: Plan, lane: Lane) -> Submission | Rejection:
        """Journal, sign and send one plan; close the intent when it is refused."""
        await self._journal.intend(plan)
        try:
            submission = await lane.sign(plan)
        except RefusedError as error:
            return await self._refused(plan, str(error))
        self._flight.took_off(plan, submission)
        try:
            await lane.send(submission)
        except RefusedError as error:
            self._flight.landed(plan.id)
            return await self._refused(plan, str(error))
        except TransientError as error:
            log.warning(SEND_UNCERTAIN, plan=plan.id, tx=submission.tx_hash, error=str(error))
        return submission

    async def _refused(self, plan: Plan, detail: str) -> Rejection:
        """Close an intent that never got in flight."""
        block = plan.opportunity.block.number
        self._backoff.failed(plan.ref, block)
        await self._journal.settle(_unsent(plan, Status.DROPPED, detail))
        return _no(plan.ref, block, Reason.POLICY, detail)

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


def _no(ref: AccountRef, block: int, reason: Reason, detail: str) -> Rejection:
    return Rejection(ref=ref, block=block, reason=reason, detail=detail)
