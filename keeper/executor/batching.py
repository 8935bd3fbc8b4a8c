"""Several plans as one transaction, where that earns more than each alone.

A batch saves gas and risks more: one account that somebody else has first reverts them all. So it
is made last, of plans that hold alone, and goes only if it holds too and what it saves is more than
what it risks. Anything else is taken apart, and its plans go alone as they were rehearsed.
"""

from collections.abc import Collection, Sequence
from typing import Final

import structlog
from msgspec import Struct

from keeper.core.chain import next_base_fee
from keeper.core.errors import RefusedError
from keeper.core.joint import Addition, Joint, Merging
from keeper.core.lending import AccountRef, Reason, Rejection
from keeper.core.plan import Plan
from keeper.core.ports import Simulator
from keeper.core.units import BPS
from keeper.core.values import replace
from keeper.executor.dividing import Decoders
from keeper.executor.door import Door, Grounds
from keeper.executor.flight import Flight
from keeper.executor.policy import BatchRules, Exposure
from keeper.executor.rehearse import Stage, run_once
from keeper.executor.verdicts import of_plan

log = structlog.get_logger()

BATCH_MADE = "batch.made"
BATCH_TAKEN_APART = "batch.taken_apart"

SAVED_GAS: Final = 125_000
"""The least that a further account was seen to save; the rehearsal says how much it really is."""
MOST_GAS: Final = 2**24
"""Of one transaction, by EIP-7825."""

Group = list[Plan]
"""Plans next to each other that are to go together; mostly one."""


class Candidate(Struct, frozen=True, kw_only=True):
    """Plans that hold alone, and the one transaction that they are to be."""

    alone: Group
    whole: Plan

    @property
    def is_batch(self) -> bool:
        """Whether there are several."""
        return len(self.alone) > 1


class Run:
    """Rehearses again and again on one stage."""

    def __init__(
        self, simulator: Simulator, stage: Stage, decoders: Decoders, exposure: Exposure
    ) -> None:
        self._simulator, self._decoders = simulator, decoders
        self.stage, self.exposure = stage, exposure

    async def once(self, plans: Sequence[Plan]) -> list[Plan | Rejection]:
        """Return each as rehearsed, or why it does not hold: none does of which no node tells."""
        try:
            return await run_once(plans, self._simulator, self.stage, self._decoders)
        except RefusedError as error:
            return [of_plan(one, Reason.SIMULATION_FAILED, str(error)) for one in plans]


class Batcher:
    """Makes batches of plans that were rehearsed alone."""

    def __init__(self, grounds: Grounds, door: Door, flight: Flight) -> None:
        """Let ``door`` judge each batch as it judges a plan."""
        self._rules = grounds.batches
        self._simulator = grounds.simulator
        self._door = door
        self._flight = flight

    def may_join(self, plans: Sequence[Plan], joint: Joint) -> bool:
        """Return whether some of the plans might go as one transaction."""
        if joint.merging is None or self._rules.most == 1:
            return False
        return len(plans) > 1 or bool(joint.additions)

    async def batched(
        self,
        plans: list[Plan],
        joint: Joint,
        exposure: Exposure,
        stage: Stage,
        decoders: Decoders,
    ) -> tuple[list[Plan], list[Rejection]]:
        """Return the plans in their order, those together that earn more so.

        Additions of the joint go along with the last ones, or are among the rejections.
        """
        merging = joint.merging
        if merging is None or self._rules.most == 1:
            return plans, _left(joint.additions, "nothing goes together here")
        run = Run(self._simulator, stage, decoders, exposure)
        tried, judged = await self._together(plans, merging, run)
        if not joint.additions or not judged:
            return _told(judged), _left(joint.additions, "nobody is sent")
        more, left = await self._untried(joint.additions)
        joined, apart = await self._joined(tried, judged, more, merging, run)
        return _told(joined), [*left, *apart]

    async def _untried(
        self, additions: Sequence[Addition]
    ) -> tuple[list[Addition], list[Rejection]]:
        """Split off what was tried on this head before, or is over the budgets of all chains."""
        plans, tried = await self._door.untried([one.plan for one in additions])
        plans, refused = self._door.reserve(plans, tried)
        kept = {one.id for one in plans}
        return [one for one in additions if one.plan.id in kept], refused

    async def _together(
        self, plans: list[Plan], merging: Merging, run: Run
    ) -> tuple[list[Candidate], list[Plan]]:
        """Return what goes as one transaction each, and all as rehearsed so."""
        able = frozenset(one.ref for one in plans if self._takes(one, merging))
        groups = grouped(plans, able, self._rules, run.stage)
        tried = [own for group in groups for own in _candidates(group, merging)]
        while any(one.is_batch for one in tried):
            judged = await run.once([one.whole for one in tried])
            apart = self._apart(tried, judged, run.exposure)
            if not apart:
                return tried, [one for one in judged if isinstance(one, Plan)]
            tried = [own for one in tried for own in (_alone(one.alone) if one in apart else [one])]
        return _alone(plans), plans

    def _takes(self, plan: Plan, merging: Merging) -> bool:
        return merging.takes(plan) and plan.ref not in self._flight.loners

    async def _joined(
        self,
        tried: Sequence[Candidate],
        judged: list[Plan],
        additions: Sequence[Addition],
        merging: Merging,
        run: Run,
    ) -> tuple[list[Plan], list[Rejection]]:
        """Return the plans with those of the additions that the last transaction takes along."""
        last, why = tried[-1].alone, "the last one sent takes no others"
        going = [one for one in additions if self._go_along(one.plan, last, merging)]
        del going[self._rules.most - len(last) :]
        while going:
            group = [*last, *(one.plan for one in going)]
            whole = _merged(group, merging)
            before = [one.whole for one in tried[:-1]]
            found = [] if whole is None else await run.once([*before, whole])
            refused = self._unjoined(found, judged, run) if found else "no program has the room"
            if refused is None:
                joined = [one for one in found if isinstance(one, Plan)]
                return joined, _left([one for one in additions if one not in going], why)
            _say_apart(group, refused)
            going.pop()
            why = refused
        return judged, _left(additions, why)

    def _go_along(self, plan: Plan, last: Group, merging: Merging) -> bool:
        """Return whether a plan may go with the last ones at all."""
        able = all(self._takes(one, merging) for one in (*last, plan))
        return able and plan.fees == last[0].fees

    def _unjoined(
        self, found: Sequence[Plan | Rejection], before: Sequence[Plan], run: Run
    ) -> str | None:
        """Return why the last transaction must not take as many along, in words, or None."""
        failed = [one.detail for one in found if isinstance(one, Rejection)]
        held = [one for one in found if isinstance(one, Plan)]
        _, refused = self._door.admit(held, run.exposure.by_now(self._flight))
        if failed or refused:
            return [*failed, *(one.detail for one in refused)][0]
        whole, was = held[-1].members, before[-1].members
        gain = sum(_net(one.members) for one in held) - sum(_net(one.members) for one in before)
        risk = self._rules.risk(_net(whole), len(whole)) - self._rules.risk(_net(was), len(was))
        if gain * BPS > risk:
            return None
        return f"it gains {gain} wei and puts {-(-risk // BPS)} wei more at risk"

    def _apart(
        self, tried: Sequence[Candidate], judged: Sequence[Plan | Rejection], exposure: Exposure
    ) -> list[Candidate]:
        """Return the batches that must not go: all, when a plan beside them does not hold."""
        held = [one for one in judged if isinstance(one, Plan)]
        _, refused = self._door.admit(held, exposure.by_now(self._flight))
        failed = [one for one in judged if isinstance(one, Rejection)]
        found = {one.ref: one.detail for one in (*failed, *refused)}
        apart: list[Candidate] = []
        for own, one in zip(tried, judged, strict=True):
            why = next((found[plan.ref] for plan in own.alone if plan.ref in found), None)
            if why is None and isinstance(one, Plan) and own.is_batch:
                why = self._loss(one, own.alone)
            if why is not None and not own.is_batch:
                return [other for other in tried if other.is_batch]
            if why is not None:
                _say_apart(own.alone, why)
                apart.append(own)
        return apart

    def _loss(self, batch: Plan, alone: Group) -> str | None:
        """Return by how much a batch earns less than its plans alone, in words, or None."""
        net = _net(batch.members)
        gain, risk = net - _net(alone), self._rules.risk(net, len(alone))
        if gain * BPS > risk:
            return None
        return f"it saves {gain} wei and puts {-(-risk // BPS)} wei more at risk"


def grouped(
    plans: Sequence[Plan], able: Collection[AccountRef], rules: BatchRules, stage: Stage
) -> list[Group]:
    """Return the plans in their order, in groups that are worth trying together.

    From the last: those earn least, and so does what they risk. Those who are not ``able`` to go
    with others are groups of one.
    """
    groups: list[Group] = []
    for plan in reversed(plans):
        if groups and _fits(plan, groups[-1], able, rules, stage):
            groups[-1].insert(0, plan)
        else:
            groups.append([plan])
    return groups[::-1]


def _fits(
    plan: Plan, group: Group, able: Collection[AccountRef], rules: BatchRules, stage: Stage
) -> bool:
    """Return whether a plan can go before others, and is likely to earn more so."""
    both, other = [plan, *group], group[0]
    if len(both) > rules.most or sum(one.gas_limit for one in both) > MOST_GAS:
        return False
    if plan.fees != other.fees or not (plan.ref in able and other.ref in able):
        return False
    price = min(plan.fees.max_fee, next_base_fee(stage.head) + plan.fees.priority_fee)
    return len(group) * SAVED_GAS * price * BPS > rules.risk(_net(both), len(both))


def _net(plans: Sequence[Plan]) -> int:
    return sum(one.forecast.net for one in plans)


def _merged(group: Group, merging: Merging) -> Plan | None:
    """Return the group as one transaction, None where one cannot carry it."""
    if sum(one.gas_limit for one in group) > MOST_GAS:
        return None
    try:
        return merging.merge(group)
    except RefusedError:
        return None


def _left(additions: Sequence[Addition], why: str) -> list[Rejection]:
    """Return why additions do not go: neither alone nor with others."""
    return [
        replace(one.alone, detail=f"{one.alone.detail}; pays only with others, and {why}")
        for one in additions
    ]


def _candidates(group: Group, merging: Merging) -> list[Candidate]:
    """Return the group as one transaction, or as several where one cannot carry it."""
    if len(group) == 1:
        return _alone(group)
    try:
        return [Candidate(alone=group, whole=merging.merge(group))]
    except RefusedError as error:
        _say_apart(group, str(error))
        return _alone(group)


def _alone(group: Group) -> list[Candidate]:
    return [Candidate(alone=[plan], whole=plan) for plan in group]


def _say_apart(group: Group, why: str) -> None:
    log.info(BATCH_TAKEN_APART, plan=group[0].id, accounts=len(group), why=why)


def _told(plans: list[Plan]) -> list[Plan]:
    for plan in plans:
        if plan.companions:
            log.info(
                BATCH_MADE, plan=plan.id, accounts=len(plan.members), net_wei=_net(plan.members)
            )
    return plans
