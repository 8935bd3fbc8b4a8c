"""What becomes of a batch of plans, and of a plan that is not sent."""

from collections.abc import Callable, Collection, Iterable, Sequence

from msgspec import Struct

from keeper.core.accounting import gas_only
from keeper.core.lending import AccountRef, Reason, Rejection
from keeper.core.plan import Outcome, Plan, Status, Submission
from keeper.core.units import Address
from keeper.core.values import replace

OPENED_MEANWHILE = "an intent of one of these accounts was opened since they were judged"

Rejections = tuple[Rejection, ...]


class Report(Struct, frozen=True, kw_only=True):
    """What became of a batch of plans."""

    sent: tuple[Submission, ...] = ()
    shown: tuple[Plan, ...] = ()
    """Disarmed: what would have been sent."""
    rejected: tuple[Rejection, ...] = ()

    def and_then(self, later: "Report") -> "Report":
        """Return this with what was found out later."""
        return Report(
            sent=self.sent + later.sent,
            shown=self.shown + later.shown,
            rejected=self.rejected + later.rejected,
        )


def unsent(plan: Plan, status: Status, detail: str) -> Outcome:
    """Return the outcome of a plan that never was on the wire."""
    return Outcome(
        plan_id=plan.id,
        status=status,
        tx_hash=None,
        block=None,
        gas_used=0,
        realised=gas_only(0),
        liquidations=(),
        detail=detail,
        companions=tuple(unsent(one, status, detail) for one in plan.companions),
    )


def of_plan(plan: Plan, reason: Reason, detail: str) -> Rejection:
    """Return why a plan is not carried out."""
    return of_account(plan.ref, plan.opportunity.block.number, reason, detail)


def of_each(plan: Plan, reason: Reason, detail: str) -> Rejections:
    """Return why a transaction is not carried out, for each of its accounts."""
    return tuple(of_plan(one, reason, detail) for one in plan.members)


def of_companions(plans: Iterable[Plan], rejected: Iterable[Rejection]) -> Rejections:
    """Return, for each batch with a rejection, the same for its accounts that have none."""
    said = {one.ref: one for one in rejected}
    batches = [[one.ref for one in plan.members] for plan in plans if plan.companions]
    return tuple(
        replace(said[ref], ref=other)
        for refs in batches
        for ref in refs
        if ref in said
        for other in refs
        if other not in said
    )


def of_all(pairs: Iterable[tuple[Plan, str]], reason: Reason) -> Rejections:
    """Return why transactions are not carried out, for each of their accounts."""
    return tuple(one for plan, why in pairs for one in of_each(plan, reason, why))


def of_barred(plans: Sequence[Plan], bar: Callable[[Plan], Rejection | None]) -> Rejections:
    """Return why none of the plans is carried out, nothing where none of them is barred."""
    for one in (one for plan in plans for one in plan.members):
        if (barred := bar(one)) is not None:
            return of_all(((plan, barred.detail) for plan in plans), barred.reason)
    return ()


def of_busy(plans: Sequence[Plan], busy: Collection[tuple[str, Address]]) -> Rejections:
    """Return why none of the plans is carried out, nothing where no account has an open intent."""
    refs = (one.ref for plan in plans for one in plan.members)
    if any((ref.market, ref.account) in busy for ref in refs):
        return of_all(((plan, OPENED_MEANWHILE) for plan in plans), Reason.IN_FLIGHT)
    return ()


def of_account(ref: AccountRef, block: int, reason: Reason, detail: str) -> Rejection:
    """Return why an account is left alone at a block."""
    return Rejection(ref=ref, block=block, reason=reason, detail=detail)
