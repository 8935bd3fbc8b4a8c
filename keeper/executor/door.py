"""Who is let through: what is spent and at stake, and which plans the one policy admits."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from keeper.core.chain import BlockRef, StateOverride, Transaction
from keeper.core.lending import Reason, Rejection
from keeper.core.pending import Lead
from keeper.core.plan import Plan
from keeper.core.ports import Journal, Reader, Simulator
from keeper.core.units import Address, Hash32
from keeper.core.values import replace
from keeper.executor.desks import Desks
from keeper.executor.flight import Flight
from keeper.executor.nonces_at import NoncesAt
from keeper.executor.policy import ALONE, BatchRules, Exposure, Limits, judge
from keeper.executor.standing import DAY, HOUR
from keeper.executor.totals import Share
from keeper.executor.verdicts import of_plan


class Grounds(Struct, frozen=True, kw_only=True):
    """What the executor stands on: the chain's side, and the limits."""

    reader: Reader
    simulator: Simulator
    limits: Limits
    now: Callable[[], float]
    """Wall clock, unix seconds: budgets are of real hours and days."""
    overrides: Mapping[Address, StateOverride]
    """Set when the executor contract is not deployed: its code and storage for rehearsals."""
    share: Share | None = None
    """Of the budgets over all chains; None where there is one chain."""
    batches: BatchRules = ALONE
    """When plans go together."""


class Door:
    """Admits plans to the rehearsal, and once more to the signature."""

    def __init__(
        self, grounds: Grounds, *, journal: Journal, flight: Flight, desks: Desks | None
    ) -> None:
        """Make a door; without desks, those of the operators, it is a disarmed executor's."""
        self._grounds = grounds
        self._journal = journal
        self._flight = flight
        self._desks = desks
        self._nonces = NoncesAt(grounds.reader)
        self._spent: tuple[Hash32, asyncio.Future[Exposure]] | None = None
        """What was spent, with the hash of the head that it is read at."""

    async def exposure(self, head: BlockRef) -> Exposure:
        """Return what is spent and at stake at ``head``; what is spent is read once for it."""
        known = self._spent
        if known is None or known[0] != head.hash or _has_failed(known[1]):
            known = self._spent = (head.hash, asyncio.ensure_future(self._read(head)))
        spent = await asyncio.shield(known[1])  # others wait for the same
        share = self._grounds.share
        left = None if share is None else share.left()
        return replace(spent.by_now(self._flight), left_of_totals=left)

    async def _read(self, head: BlockRef) -> Exposure:
        now, ended = int(self._grounds.now()), self._flight.ended
        balances, spent, nonces = await asyncio.gather(
            self._balances(head),
            self._journal.spent(hour=now - HOUR, day=now - DAY),
            self.nonces(head, is_newest=False),  # in one wait with the rest, for who asks for them
        )
        return Exposure(
            spent_hour=spent.hour,
            spent_day=spent.day,
            at_stake=0,
            in_flight=0,
            busy=frozenset(),
            balances=balances,
            forced_lost=spent.forced,
            held_up=self._flight.held_up(nonces, head.number),
            ended=ended,
        )

    async def ahead(
        self, head: BlockRef, newest: BlockRef | None, lead: Lead | None
    ) -> tuple[Transaction, ...]:
        """Return what runs before plans in the block after ``head``, and before it a lead."""
        is_newest = newest is None or head.number >= newest.number
        nonces = await self.nonces(head, is_newest=is_newest)
        return (*self._flight.transactions(nonces), *([lead.transaction] if lead else ()))

    async def nonces(self, head: BlockRef, *, is_newest: bool) -> Mapping[Address, int]:
        """Return the next nonces at ``head`` of whoever is in flight, or lately was."""
        senders = self._flight.senders if is_newest else self._flight.senders | self._flight.lately
        return await self._nonces.read(senders, head)

    async def _balances(self, head: BlockRef) -> Mapping[Address, int] | None:
        """Return what each operator holds at ``head``, wei; None when disarmed."""
        if self._desks is None:
            return None
        reader = self._grounds.reader
        return {one: await reader.balance(one, head) for one in self._desks.addresses}

    def spread(self, plans: Sequence[Plan], exposure: Exposure) -> Sequence[Plan]:
        """Return the plans, each with the operator that is to send it."""
        if self._desks is None:
            return plans
        floor = self._grounds.limits.min_balance
        return self._desks.spread(plans, self._flight, exposure, floor)

    async def untried(self, plans: Sequence[Plan]) -> tuple[list[Plan], list[Rejection]]:
        """Split off the plans that were tried on this very head before: that waits for the next.

        A price can move back and forth within a block, and a keeper be started again in one.
        """
        tried = await self._journal.tried(plans)
        return [plan for plan in plans if plan.id not in tried], [
            of_plan(plan, Reason.BACKING_OFF, "tried on this block before")
            for plan in plans
            if plan.id in tried
        ]

    def admit(
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

    def over_totals(self, plans: Sequence[Plan]) -> bool:
        """Return whether the budgets over all chains leave no room for all the plans just now."""
        share = self._grounds.share
        return share is not None and not share.has_room(plans)

    def reserve(
        self, plans: list[Plan], rejected: list[Rejection]
    ) -> tuple[list[Plan], list[Rejection]]:
        """Split off what the budgets over all chains leave no room for; keep room for the rest."""
        share = self._grounds.share
        if share is None:
            return plans, rejected
        admitted, over = share.admit(plans)
        return admitted, [*rejected, *over]

    def release(self) -> None:
        """Give back the room that was kept."""
        if (share := self._grounds.share) is not None:
            share.release()


def _has_failed(reading: asyncio.Future[Exposure]) -> bool:
    return reading.done() and (reading.cancelled() or reading.exception() is not None)
