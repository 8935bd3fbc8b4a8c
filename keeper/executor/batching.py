"""Several plans as one transaction, where that earns more than each alone.

A batch saves gas and risks more: one account that somebody else has first reverts them all. So it
is made last, of plans that hold alone, and goes only if it holds too and what it saves is more than
what it risks. Anything else is taken apart, and its plans go alone as they were rehearsed.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from keeper.core.chain import next_base_fee
from keeper.core.errors import RefusedError
from keeper.core.joint import Merging
from keeper.core.lending import AccountRef, Rejection
from keeper.core.plan import Plan
from keeper.core.units import BPS
from keeper.executor.dividing import Decoders
from keeper.executor.door import Door, Grounds
from keeper.executor.flight import Flight
from keeper.executor.policy import BatchRules, Exposure
from keeper.executor.rehearse import Stage, run_once

log = structlog.get_logger()

BATCH_MADE = "batch.made"
BATCH_TAKEN_APART = "batch.taken_apart"

SAVED_GAS: Final = 125_000
"""The least that a further account was seen to save; the rehearsal says how much it really is."""
MOST_GAS: Final = 2**24
"""Of one transaction, by EIP-7825."""

Group = list[Plan]
"""Plans next to each other that are to go together; mostly one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Plans that hold alone, and the one transaction that they are to be."""

    alone: Group
    whole: Plan

    @property
    def is_batch(self) -> bool:
        """Whether there are several."""
        return len(self.alone) > 1


class Batcher:
    """Makes batches of plans that were rehearsed alone."""

    def __init__(self, grounds: Grounds, door: Door, flight: Flight) -> None:
        """Let ``door`` judge each batch as it judges a plan."""
        self._rules = grounds.batches
        self._simulator = grounds.simulator
        self._door = door
        self._flight = flight

    async def batched(
        self,
        plans: list[Plan],
        merging: Merging | None,
        exposure: Exposure,
        stage: Stage,
        decoders: Decoders,
    ) -> list[Plan]:
        """Return the plans in their order, those together that earn more so."""
        if merging is None or self._rules.most == 1:
            return plans
        able = frozenset(one.ref for one in plans if merging.takes(one)) - self._flight.loners
        groups = grouped(plans, able, self._rules, stage)
        tried = [own for group in groups for own in _candidates(group, merging)]
        while any(one.is_batch for one in tried):
            wholes = [one.whole for one in tried]
            judged = await run_once(wholes, self._simulator, stage, decoders)
            apart = self._apart(tried, judged, exposure)
            if not apart:
                return _told([one for one in judged if isinstance(one, Plan)])
            tried = [own for one in tried for own in (_alone(one.alone) if one in apart else [one])]
        return plans

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
