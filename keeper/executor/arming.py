"""The executor's part of signing ahead: who may be, the one policy, numbers and signatures."""

from collections.abc import Sequence

from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.lending import AccountRef
from keeper.core.plan import Plan, Submission
from keeper.executor.armament import Armament
from keeper.executor.executor import Executor
from keeper.executor.policy import Exposure, Limits, judge
from keeper.executor.prearm import Prearm


class Arming(Struct, frozen=True, kw_only=True):
    """Signs what may be sent later, and sends nothing."""

    prearm: Prearm
    executor: Executor
    armament: Armament
    limits: Limits
    planned_before: int = -1
    """The newest head that an earlier run made a plan at."""

    @property
    def is_halted(self) -> bool:
        """Return whether nothing may be sent at all."""
        return self.executor.standing.halted is not None

    def is_of_before(self, head: BlockRef) -> bool:
        """Return whether an earlier run may have signed at ``head``: it may be the same bytes.

        Those are in the journal under the name of its plan, and may be out.
        """
        return head.number <= self.planned_before

    def waits(self, ref: AccountRef, block: int) -> bool:
        """Return whether an account has an open intent, or failed lately."""
        return self.executor.waiting(ref, block) is not None

    async def ready(self, head: BlockRef) -> Exposure:
        """Return what is spent and at stake at ``head``; each next nonce is known after it.

        Raises RefusedError when the node is on another chain.
        """
        desks = self.armament.desks
        await desks.first.require_chain()
        exposure = await self.executor.exposure(head)
        for one in desks.addresses:
            await desks.of(one).nonces.take(1, self.executor.flight.held(one))
        return exposure

    def sign(
        self, plans: Sequence[Plan], exposure: Exposure, *, target_block: int
    ) -> list[tuple[Plan, Submission]]:
        """Sign the plans that policy lets through together, with the next nonces in their order.

        They are spread over the keys: whichever of them a price brings, each key's are its next
        nonces, for a price brings them from the first on.
        """
        desks, flight = self.armament.desks, self.executor.flight
        nonces = {one: desks.of(one).nonces.upcoming(flight.held(one)) for one in desks.addresses}
        signed: list[tuple[Plan, Submission]] = []
        for plan in desks.spread(plans, flight, exposure, self.limits.min_balance):
            sender = plan.transaction.sender
            nonce = nonces[sender]
            if nonce is None or judge(plan, self.limits, exposure) is not None:
                continue
            if plan.forced:  # nobody races for a loss
                continue
            exposure = exposure.with_plan(plan)
            submission = desks.of(sender).sign_ahead(
                plan, nonce=nonce, target_block=target_block, lane=self.armament.lane.name
            )
            signed.append((plan, submission))
            nonces[sender] = nonce + 1
        return signed
