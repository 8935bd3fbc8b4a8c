"""Signed and journaled while it is rehearsed: a plan that comes out as it went in can go at once.

A rehearsal waits for the node, the journal for the disk: they are waited for together where it is
known what would be signed, by the next nonce and the gas limit that the plan came with. What is
written meanwhile is armed, which is no open intent: whatever becomes of the process, the node
knows whether it was sent (see ``recovery``). Where another lane hides that, nothing is early.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from keeper.core.plan import Plan, Submission
from keeper.core.ports import Journal
from keeper.core.tick import Tick
from keeper.core.values import replace
from keeper.executor.armament import Armament
from keeper.executor.desks import Desks, Signed
from keeper.executor.flight import Flight
from keeper.executor.upcoming import UpcomingNonces

Pairs = list[tuple[Plan, Submission]]
Launch = Callable[[], Awaitable[None]]


class Early:
    """Signs the plans of one rehearsal, and puts them on disk: early, or else when it is over."""

    def __init__(self, flight: Flight, journal: Journal) -> None:
        """Sign nothing yet."""
        self._flight = flight
        self._journal = journal
        self._pairs: Pairs = []
        """What is signed, and armed as soon as ``_work`` is done."""
        self._work: asyncio.Task[None] | None = None

    def begin(self, plans: Sequence[Plan], armament: Armament, *, asks: bool, signs: bool) -> None:
        """Ask for the chain id and, where it ``signs``, sign and journal the plans with it.

        It ``asks`` unless that was done for these very plans.
        """
        desks = armament.desks
        if asks:
            desks.ask_chain({plan.transaction.sender for plan in plans})
        if plans and signs and armament.lane.public and desks.are_instant:
            self._work = asyncio.ensure_future(self._arm(plans, desks, armament.lane.name))

    async def _arm(self, plans: Sequence[Plan], desks: Desks, lane: str) -> None:
        for sender in {plan.transaction.sender for plan in plans}:
            if not await desks.of(sender).confirmed():
                return
        nonces, pairs = UpcomingNonces(desks, self._flight), Pairs()
        for plan in plans:
            sender, target = plan.transaction.sender, plan.opportunity.block.number + 1
            nonce = nonces.upcoming(sender)
            if nonce is None:
                return
            desk = desks.of(sender)
            pairs.append((plan, desk.sign_ahead(plan, nonce=nonce, target_block=target, lane=lane)))
            nonces.used(sender, nonce)
        self._pairs = pairs
        await self._journal.arm(pairs)

    async def signed(
        self, plans: Sequence[Plan], armament: Armament, target_block: int, tick: Tick
    ) -> tuple[Signed, Launch]:
        """Return the plans as they are signed and on disk, and what the journal has yet to hear.

        It may once they are written, so that nothing holds that up. Called while nobody else takes
        nonces; theirs are used by it. Raises as ``Desks.sign``.
        """
        if self._work is not None:
            await self._work
        tick.mark("journal")  # what is left of waiting for the disk
        early = self._taken(plans, armament.desks, target_block)
        if early:
            tick.mark("sign")
            return Signed(pairs=tuple(early), refused=()), partial(self._journal.launch, early)
        done = await armament.desks.sign(
            plans, self._flight, target_block=target_block, lane=armament.lane.name
        )
        tick.mark("sign")
        await self._journal.seal(done.pairs)
        tick.mark("journal")
        return done, partial(asyncio.sleep, 0)

    def _taken(self, plans: Sequence[Plan], desks: Desks, target_block: int) -> Pairs:
        """Return what was signed early, with its nonces used; nothing where anything differs."""
        nonces, taken = UpcomingNonces(desks, self._flight), Pairs()
        if len(plans) != len(self._pairs):
            return []
        for plan, (before, one) in zip(plans, self._pairs, strict=True):
            if not _is_same(plan, before) or nonces.upcoming(one.sender) != one.nonce:
                return []
            nonces.used(one.sender, one.nonce)
            taken.append((plan, replace(one, target_block=target_block)))
        for _, one in taken:
            desks.of(one.sender).took(one.nonce)
        self._pairs = []
        return taken

    async def end(self) -> None:
        """Forget what was signed and not taken."""
        if self._work is not None:
            await asyncio.wait([self._work])
            if self._pairs:
                await self._journal.disarm([plan.id for plan, _ in self._pairs])
            await self._work


def _is_same(plan: Plan, before: Plan) -> bool:
    """Return whether a plan's signed bytes are the same as before its rehearsal."""
    now = (plan.id, plan.transaction, plan.gas_limit, plan.fees)
    return now == (before.id, before.transaction, before.gas_limit, before.fees)
