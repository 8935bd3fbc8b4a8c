"""Run the exact transactions at the target block before any of them is signed.

A plan goes on only if the rehearsal succeeds, liquidates exactly what the rules predicted, and
still earns the minimum with the gas that it really takes. The rehearsed figures become the
forecast that the books later show beside what happened.
"""

from collections.abc import Mapping, Sequence

import structlog
from msgspec import Struct

from keeper.core.accounting import Settlement, Waterfall, waterfall
from keeper.core.chain import BlockRef, Simulated, StateOverride, Transaction, next_base_fee
from keeper.core.errors import RefusedError
from keeper.core.gas_limit import gas_limit_of
from keeper.core.joint import Remake, as_they_are
from keeper.core.lending import Liquidation, Reason, Rejection
from keeper.core.plan import Plan
from keeper.core.ports import Simulator
from keeper.core.units import BPS, Address
from keeper.core.values import replace
from keeper.executor.dividing import Decoders, divided
from keeper.executor.simulating_ahead import Setting, SimulatingAhead

log = structlog.get_logger()

OFFER_BROKEN = "offer.broken"
LEAD_FAILS = "the pending transaction that it would follow fails"

_LEAST_ROOM_BPS, _MOST_ROOM_BPS = 9_000, 13_000
"""Of the gas limit that follows from the rehearsal, what a plan's own may be and stay."""


class _LeadFailsError(Exception):
    """It is in a block by now, or is nobody's update: whatever the plans would do, they are not."""


class Stage(Struct, frozen=True, kw_only=True):
    """What the rehearsal stands on."""

    head: BlockRef
    timestamp: int
    ahead: tuple[Transaction, ...]
    """Transactions in flight, which will run before the plans."""
    overrides: Mapping[Address, StateOverride]
    remake: Remake = as_they_are
    """What remains when one of the plans is taken out."""
    is_planned: bool = True
    """The plans were made for it, so that they must do what the rules predict, to the wei."""
    is_whole: bool = True
    """They were made of all that the head brought: not of a price of its block alone, nor of a
    pending update."""
    is_led: bool = False
    """The last of those ahead is another's, and pending: the plans go behind it or not at all."""

    @property
    def is_final(self) -> bool:
        """Return whether who fails on it would fail again: no look at the same head comes after."""
        return self.is_planned and self.is_whole

    def is_behind(self, newest: BlockRef) -> bool:
        """Return whether the chain has gone on since."""
        return newest.number >= self.head.number and newest.hash != self.head.hash

    def moved_to(self, newest: BlockRef, ahead: tuple[Transaction, ...]) -> "Stage":
        """Return the stage on a newer head, where interest is older than it was planned for."""
        return replace(
            self,
            head=newest,
            timestamp=newest.timestamp + self.timestamp - self.head.timestamp,
            ahead=ahead,
            remake=as_they_are,
            is_planned=False,
        )


async def rehearse(
    plans: Sequence[Plan], simulator: Simulator, stage: Stage, decoders: Decoders
) -> tuple[list[Plan], list[Rejection]]:
    """Return the plans that hold, with exact gas and forecast, and why the others do not.

    The plans run in order in one block. When one fails it is taken out and the rest run again,
    made anew where it would have changed what they find. One that relied on an offer from outside
    goes on without it. Behind a pending transaction that fails none of them holds.
    """
    waiting, rejected, misfits = list(plans), list[Rejection](), 0
    while waiting:
        try:
            judged = await _judged(waiting, simulator, stage, decoders)
        except _LeadFailsError:
            failed = Reason.SIMULATION_FAILED
            return [], [*rejected, *(_no(plan, failed, LEAD_FAILS) for plan in waiting)]
        refusals = ((i, one) for i, one in enumerate(judged) if isinstance(one, Rejection))
        bad, refusal = next(refusals, (len(judged), None))
        if refusal is None and (bad == len(waiting) or misfits):  # one of its kind may be all
            held = [one for one in judged if isinstance(one, Plan)]
            return held, [*rejected, *map(_unfit, waiting[bad:])]
        if refusal is None:
            refused, misfits = _unfit(waiting[bad]), 1
        else:
            refused = await _explained(waiting[bad], refusal, simulator, stage)
        if (local := waiting[bad].local) is not None:
            log.warning(OFFER_BROKEN, plan=local.id, reason=refused.reason, detail=refused.detail)
            # The plan may have been given another operator to send it since it was made.
            sender = waiting[bad].transaction.sender
            waiting[bad] = replace(local, transaction=replace(local.transaction, sender=sender))
            continue
        del waiting[bad]
        waiting, gone = stage.remake(waiting)
        rejected += [refused, *gone]
    return [], rejected


async def run_once(
    plans: Sequence[Plan], simulator: Simulator, stage: Stage, decoders: Decoders
) -> list[Plan | Rejection]:
    """Run the plans in order in one block; return each as rehearsed, or why it does not hold."""
    results = await _run(plans, simulator, stage)
    both = zip(plans, results, strict=True)
    return [_judge(plan, result, stage, decoders) for plan, result in both]


async def _judged(
    plans: Sequence[Plan], simulator: Simulator, stage: Stage, decoders: Decoders
) -> list[Plan | Rejection]:
    """Return what ``run_once`` does, of the first alone where a node refuses to tell of all.

    That is up to one that does not hold, or as many as hold. A transaction that takes all the gas
    of the simulated block leaves none for those behind it, and geth then tells of none. Raises
    RefusedError where not even the first is told of alone.
    """
    try:
        return await run_once(plans, simulator, stage, decoders)
    except RefusedError as error:
        refused, why = len(plans), error
    held: list[Plan | Rejection] = []
    while refused - len(held) > 1:
        middle = (len(held) + refused) // 2
        try:
            judged = await run_once(plans[:middle], simulator, stage, decoders)
        except RefusedError as error:
            refused, why = middle, error
            continue
        if any(isinstance(one, Rejection) for one in judged):
            return judged
        held = judged
    if not held:
        raise why
    return held


def _unfit(plan: Plan) -> Rejection:
    """Return why a plan is left out of which the node tells nothing."""
    return _no(plan, Reason.SIMULATION_FAILED, "the node does not tell of it behind the others")


def begin(plans: Sequence[Plan], simulator: SimulatingAhead, stage: Stage) -> None:
    """Ask for the rehearsal that ``rehearse`` of the plans would begin with."""
    simulator.begin(_transactions(plans, stage), **_setting(stage))


async def _explained(
    plan: Plan, refusal: Rejection, simulator: Simulator, stage: Stage
) -> Rejection:
    """Return the rejection with its cause: a node says why only of a transaction run alone."""
    if refusal.reason is not Reason.SIMULATION_FAILED or stage.is_led:
        return refusal
    try:
        (alone,) = await _run([plan], simulator, replace(stage, ahead=()))
    except RefusedError:
        return refusal
    detail = alone.error if not alone.success else "only after the transactions ahead of it"
    return replace(refusal, detail=f"reverts: {detail}")


async def _run(plans: Sequence[Plan], simulator: Simulator, stage: Stage) -> list[Simulated]:
    """Simulate the plans after the transactions ahead of them; return the plans' results.

    Raises _LeadFailsError where what they are to follow fails.
    """
    results = await simulator.simulate(_transactions(plans, stage), **_setting(stage))
    ahead, own = results[: len(stage.ahead)], results[len(stage.ahead) :]
    if stage.is_led and not ahead[-1].success:
        raise _LeadFailsError
    return own


def _transactions(plans: Sequence[Plan], stage: Stage) -> list[Transaction]:
    return [*stage.ahead, *(plan.transaction for plan in plans)]


def _setting(stage: Stage) -> Setting:
    return {
        "base": stage.head,
        "timestamp": stage.timestamp,
        "base_fee": next_base_fee(stage.head),
        "overrides": stage.overrides,
    }


def _judge(plan: Plan, result: Simulated, stage: Stage, decoders: Decoders) -> Plan | Rejection:
    """Return the plan with the rehearsed figures, or why it is not sent."""
    if not result.success:
        return _no(plan, Reason.SIMULATION_FAILED, result.error or "reverted without a reason")
    members = list(zip(plan.members, _moved(plan, result, stage, decoders), strict=True))
    for member, own in members:
        if difference := _difference(member, own.liquidations, is_exact=stage.is_planned):
            return _no(member, Reason.SIMULATION_DIFFERS, difference)
    forecast, *others = (waterfall(own, member.valuation) for member, own in members)
    if plan.local is not None and (worse := _worse(forecast, plan.local.forecast)):
        return _no(plan, Reason.SIMULATION_DIFFERS, worse)
    return replace(
        plan,
        forecast=forecast,
        gas_limit=_gas_limit(plan, result.gas_used),
        local=None,
        companions=tuple(
            replace(one, forecast=own) for one, own in zip(plan.companions, others, strict=True)
        ),
    )


def _gas_limit(plan: Plan, gas_used: int) -> int:
    """Return the gas limit of a plan whose rehearsal took so much.

    It is the plan's own where that leaves about as much room: what was signed with it then holds.
    """
    limit = gas_limit_of(gas_used, plan.opportunity.block.number) + plan.data_cost.gas
    least, most = limit * _LEAST_ROOM_BPS // BPS, limit * _MOST_ROOM_BPS // BPS
    return plan.gas_limit if least <= plan.gas_limit <= most else limit


def _worse(offered: Waterfall, local: Waterfall) -> str:
    """Return how an offer is worse than the local pools, empty when it is not.

    What they bring is exact, their gas is an estimate: an offer that brings no more is no gain.
    """
    gain = offered.net + offered.gas - local.net - local.gas
    if gain <= 0:
        return f"expected more than local pools bring, found {-gain} wei less"
    short = local.net - offered.net
    return f"nets {short} wei less than local pools do" if short > 0 else ""


def _difference(plan: Plan, liquidations: Sequence[Liquidation], *, is_exact: bool) -> str:
    """Return how the rehearsal differs from the rules' prediction, empty when it does not."""
    wanted = len(plan.liquidations)
    if len(liquidations) != wanted:
        expected = "one liquidation" if wanted == 1 else f"{wanted} liquidations"
        return f"expected {expected}, found {len(liquidations)}"
    if not is_exact:
        return ""
    pairs = (
        (what, expected, was, slack)
        for quote, found in zip(plan.liquidations, liquidations, strict=True)
        for what, expected, was, slack in (
            ("repaid", quote.repay, found.repaid, 0),
            ("seized", quote.seized, found.seized, found.slack),
            ("protocol fee", quote.protocol_fee, found.protocol_fee, found.slack),
        )
    )
    return "; ".join(
        f"{what}: expected {expected}, found {was}"
        for what, expected, was, slack in pairs
        if abs(expected - was) > slack
    )


def _moved(plan: Plan, result: Simulated, stage: Stage, decoders: Decoders) -> list[Settlement]:
    """Return what each account's part moved, with gas at the price expected of the target block."""
    price = min(plan.fees.max_fee, next_base_fee(stage.head) + plan.fees.priority_fee)
    return divided(
        result.logs,
        [one.ref for one in plan.members],
        decoders,
        tip=plan.tip,
        gas=result.gas_used * price + plan.data_cost.at(price),
    )


def _no(plan: Plan, reason: Reason, detail: str) -> Rejection:
    return Rejection(
        ref=plan.ref,
        block=plan.opportunity.block.number,
        reason=reason,
        detail=detail,
        net_wei=plan.forecast.net,
    )
