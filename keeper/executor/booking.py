"""Enter in the journal what became of transactions that were sent."""

from collections.abc import Awaitable, Sequence

import structlog
from msgspec import Struct

from keeper.core.lending import Reason, Rejection
from keeper.core.plan import Plan, Status, Submission
from keeper.core.ports import Journal
from keeper.executor.backoff import Backoff, Cause
from keeper.executor.desks import Desks
from keeper.executor.flight import Flight
from keeper.executor.lanes.lane import Delivery, Refused, Taken, Uncertain
from keeper.executor.verdicts import Rejections, Report, of_each, unsent

log = structlog.get_logger()

SEND_UNCERTAIN = "send.left_open"
"""The node did not say whether it took a transaction; it will be looked up by its hash."""


class Out(Struct, frozen=True, kw_only=True):
    """What a turn came to, and what of it is out."""

    report: Report = Report()
    """Of what is not."""
    pairs: Sequence[tuple[Plan, Submission]] = ()
    answers: Awaitable[Sequence[Delivery]] | None = None
    """What becomes of each of the pairs; None where there are none."""


class Booking:
    """Journals deliveries. Only the executor's turn calls it."""

    def __init__(self, *, journal: Journal, flight: Flight, backoff: Backoff) -> None:
        """Take what must know of a refusal."""
        self._journal = journal
        self._flight = flight
        self._backoff = backoff

    async def book(
        self,
        pairs: Sequence[tuple[Plan, Submission]],
        deliveries: Sequence[Delivery],
        desks: Desks,
        *,
        is_behind: bool = False,
    ) -> Report:
        """Journal what became of each transaction.

        A refusal holds its account back, but not of what ``is_behind`` a pending transaction:
        anybody may have sent that, and it need not come.
        """
        both = list(zip(pairs, deliveries, strict=True))
        taken = [submission for (_, submission), done in both if isinstance(done, Taken)]
        await self._journal.record_all_sent(taken)
        sent: list[Submission] = []
        rejected: list[Rejection] = []
        # From the last: a nonce is free again only when nothing above it is in flight.
        for (plan, submission), delivery in reversed(both):
            if isinstance(delivery, Refused):
                if not is_behind:
                    self._hold_back(plan)
                rejected += await self._refused(plan, submission, delivery.why, desks)
                continue
            sent.append(submission)
            if isinstance(delivery, Uncertain):
                log.warning(SEND_UNCERTAIN, plan=plan.id, tx=submission.tx_hash, why=delivery.why)
        return Report(sent=tuple(reversed(sent)), rejected=tuple(reversed(rejected)))

    async def show(self, plans: Sequence[Plan]) -> Report:
        """Journal what would have been sent."""
        for plan in plans:
            await self._journal.intend(plan)
            await self._journal.settle(unsent(plan, Status.SIMULATED, "disarmed"))
        return Report(shown=tuple(plans))

    async def _refused(self, plan: Plan, one: Submission, why: str, desks: Desks) -> Rejections:
        """Close an intent that never got in flight; one below others stays, to fill its nonce."""
        if self._is_all(one) and max(self._flight.held(one.sender)) == one.nonce:
            intent = self._flight.airborne[plan.id].intent
            outcome = unsent(plan, Status.DROPPED, why)
            self._flight.landed(plan.id)
            desks.of(one.sender).nonces.released(one.nonce)
            await self._journal.settle(outcome)
            desks.on_settled(intent, outcome)
        return of_each(plan, Reason.POLICY, why)

    def _hold_back(self, plan: Plan) -> None:
        for one in plan.members:
            self._backoff.failed(one.ref, Cause.REFUSAL, one.opportunity.block.number)

    def _is_all(self, one: Submission) -> bool:
        """Return whether nothing came of an intent but what was sent first.

        A refusal may come blocks later, when another transaction has taken the place of that one,
        or the intent has ended, or is just being ended.
        """
        if one.plan_id in self._flight.closing:
            return False
        flying = self._flight.airborne.get(one.plan_id)
        return flying is not None and flying.intent.attempts == (one,)
