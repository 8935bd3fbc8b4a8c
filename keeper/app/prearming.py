"""Sign ahead for the accounts that cross first: plan, rehearse, judge, sign, journal, each block.

For each feed and each way that it may move, the accounts next to the line are planned as if the
feed were at the price at which they cross, in the order in which they would. Each is rehearsed as
the exact transaction on the newest head with a stand-in for the feed that answers that price, and
must liquidate what the rules predict to the wei. What was signed at an earlier head is void.
"""

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

import structlog

from keeper.app.crossings import Ahead, Bench, Crossings, Side
from keeper.app.drill import DRILL_INDEX, sample_event
from keeper.app.in_vain import InVain
from keeper.app.sight import Sight
from keeper.app.skipping import SKIPPED
from keeper.app.trigger_price import last_admitted
from keeper.core.chain import LogHint
from keeper.core.errors import RefusedError, StaleError
from keeper.core.lending import Reason
from keeper.core.plan import Plan
from keeper.core.tick import Tick
from keeper.core.units import Hash32
from keeper.core.values import replace
from keeper.executor.arming import Arming
from keeper.executor.policy import Exposure
from keeper.executor.rehearse import Stage, rehearse
from keeper.executor.salvo import Salvo, Shot
from keeper.executor.verdicts import of_plan
from keeper.oracle.book import Evidence
from keeper.planner.case import Desk, case_of
from keeper.runtime.latest import Latest

log = structlog.get_logger()

PREARM_SKIPPED = "prearm.skipped"
PREARM_DONE = "prearm.done"
PREARM_REFUSED = "prearm.refused"

_BPS = 10_000
_NS = 10**9
_KEPT = 8
"""Heads of which it is known what else an event at their height is of."""
AT_ONCE = 4
"""Rehearsals that a node is asked for at once: a price's own may have to wait behind them."""

M = TypeVar("M")
P = TypeVar("P")


class Prearming(Generic[M, P]):
    """Keeps a deployment's pre-armed transactions as fresh as its newest head."""

    def __init__(self, bench: Bench[M, P], arming: Arming, sight: Sight[M, P]) -> None:
        """Prepare for the loans that ``sight`` sees."""
        self._bench = bench
        self._arming = arming
        self._in_vain = InVain()
        self._crossings = Crossings(bench, arming, sight, self._in_vain)
        self._mail: Latest[Ahead[M, P]] = Latest()
        self._node = asyncio.Semaphore(AT_ONCE)
        self.sample: bytes | None = None
        """An event that would bring the first shot, for drills; None with nothing armed."""
        self._run = secrets.token_hex(2)
        self._count = 0
        """Of plans made, in this run: a plan's name is of one head, one feed and one price."""
        self._voids = 0
        self._hashes: dict[int, Hash32] = {}
        """Of the last heads, by number."""

    @property
    def _name(self) -> str:
        return self._bench.adapter.deployment

    def offer(self, ahead: Ahead[M, P]) -> None:
        """Take a new head; what changed since the one before is out at once."""
        head = ahead.head
        known, kept = self._hashes.items(), range(head.number - _KEPT + 1, head.number)
        self._hashes = {key: one for key, one in known if key in kept} | {head.number: head.hash}
        changed = ahead.snapshot.changed
        if changed is None:
            self.void()
        elif changed:
            self._in_vain.forget(changed)
            self._arming.prearm.touched(self._name, changed, ahead.head.number)
        self._mail.offer(ahead)

    def void(self) -> None:
        """Fire nothing until the next head is prepared for: what is being prepared is void too."""
        self._voids += 1
        self._arming.prearm.void(self._name)

    def hear(self, event: LogHint, at_ns: int) -> None:
        """Answer a price event as its bytes come: send whatever is due, unless closed or paused.

        What drifted may be found so when all is signed: whoever acts audits whom it is about.
        """
        if self._mail.is_closed or self._bench.parity.is_paused:
            return
        telling = self._bench.watcher.telling
        told, touched = telling.told(event)
        try:
            block = int(event.block_number, 16)
        except ValueError:  # for whoever decodes all of it to complain of
            return
        tick, prearm = Tick(at_ns), self._arming.prearm
        tick.mark("decode")
        is_drill = event.log_index == DRILL_INDEX
        is_aside = not is_drill and (event.removed or self._is_aside(event, block))
        if is_aside:  # before anything is fired: what is armed is of the other branch
            self.void()
        for feed, price in told:
            prearm.fire(self._name, feed, price, block, tick, dry=is_drill)
        if is_drill:
            return
        telling.heard(event, block)
        if touched and not is_aside:
            prearm.moved(self._name, touched, block)

    def _is_aside(self, event: LogHint, block: int) -> bool:
        """Return whether an event tells of another branch, which no head may have told of yet."""
        known = self._hashes.get(block)
        return known is not None and known != event.block_hash.lower()

    async def run(self) -> None:
        """Prepare for each new head, until closed."""
        async for ahead in self._mail:
            try:
                await self._prepare(ahead)
            except SKIPPED as error:
                self.void()
                log.warning(PREARM_SKIPPED, deployment=self._name, why=str(error))
        # What was being prepared when it was closed too: nothing of that went out.
        await self._arming.prearm.disarm(self._name)

    def close(self) -> None:
        """Let ``run`` end, and fire nothing more."""
        self._mail.take()
        self._mail.close()
        self.void()

    async def _prepare(self, ahead: Ahead[M, P]) -> None:
        arming, is_paused = self._arming, self._bench.parity.is_paused
        arming.prearm.begin(self._name, ahead.head.number)
        self._in_vain.begin(ahead.head.number)
        if arming.is_halted or is_paused or arming.is_of_before(ahead.head):
            self.void()
            return
        voids = self._voids
        sides = [side async for side in self._crossings.sides(ahead)]
        exposure = await arming.ready(ahead.head)
        salvos: list[Salvo] = []
        if sides:
            everybody = [one.opportunity for side in sides for one in side.candidates]
            refs = [one.ref for one in everybody]
            await self._bench.appraiser.prepare(sides[0].candidates[0].view, refs, ahead.head)
            desk = await self._bench.planning.desk(everybody, ahead.head)
            planned = [await self._planned(side, desk) for side in sides]
            held = await asyncio.gather(*map(partial(self._rehearsed, ahead), sides, planned))
            for side, plans in zip(sides, held, strict=True):
                self._note_others(side, plans, ahead.head.number)
                salvos.append(self._salvo(ahead, side, plans, exposure))
        if self._voids != voids:  # a reorg may have undone the head meanwhile
            return
        prearm = arming.prearm
        await prearm.load(self._name, [one for one in salvos if one.shots], exposure)
        self.sample = self._sampled(salvos, ahead.prices.evidence)
        log.debug(PREARM_DONE, deployment=self._name, shots=prearm.holds(self._name))

    def _note_others(self, side: Side[M, P], plans: list[Plan], block: int) -> None:
        """Take note of whom no plan holds for: next time others have their place."""
        held = {plan.ref for plan in plans}
        for one in side.candidates:
            if (ref := one.opportunity.ref) not in held:
                self._in_vain.note(side.feed, ref, block)

    def _sampled(self, salvos: list[Salvo], evidence: Evidence) -> bytes | None:
        """Return an event that would bring the first shot."""
        for salvo in salvos:
            one = self._bench.watcher.followed(salvo.feed)
            for shot in salvo.shots:
                found = one.answering(evidence, shot.price, falls=salvo.falls)
                if found is not None:
                    return sample_event(found.leaf.aggregator, found.answer, salvo.block + 1)
        return None

    async def _planned(self, side: Side[M, P], desk: Desk) -> list[Plan]:
        """Return the side's plans, each on what those before it leave of the pools."""
        bench, plans = self._bench, list[Plan]()
        for one in side.candidates:
            ref = one.opportunity.ref
            try:
                valuation = bench.appraiser.at(one.view, ref)
            except StaleError:
                continue
            case = case_of(
                bench.adapter,
                one.view,
                one.position,
                opportunity=one.opportunity,
                valuation=valuation,
            )
            plan, desk = bench.planning.plan_next(case, desk)
            await asyncio.sleep(0)
            if isinstance(plan, Plan):
                self._count += 1
                plans.append(replace(plan, id=f"{plan.id}@{self._run}-{self._count}"))
        return plans

    def _farthest(self, now: int, admits: Callable[[int], bool], *, falls: bool) -> int | None:
        """Return how far a price may move and still be answered, None when not at all."""
        if not admits(now):
            return None
        most = now * self._bench.most_move_bps // _BPS
        far = last_admitted(admits, now, falls=falls)
        return max(far, now - most) if falls else min(far, now + most)

    async def _rehearsed(
        self, ahead: Ahead[M, P], side: Side[M, P], plans: list[Plan]
    ) -> list[Plan]:
        """Return the plans that hold, each run alone at the price at which it is due."""
        prices = {one.opportunity.ref: one.price for one in side.candidates}
        each = (self._alone(ahead, side, prices[plan.ref], plan) for plan in plans)
        return [plan for held in await asyncio.gather(*each) for plan in held]

    async def _alone(
        self, ahead: Ahead[M, P], side: Side[M, P], price: int, plan: Plan
    ) -> list[Plan]:
        """Return the plan with what it comes to alone at a side's price; nothing if it fails."""
        bench = self._bench
        decoders = bench.decoders(ahead.snapshot.market)
        try:
            async with self._node:
                stage = await self._stage(ahead, side, price)
                held, failed = await rehearse([plan], bench.simulator, stage, decoders)
        except RefusedError as error:
            # Whoever makes a market chooses its feeds and tokens: it must not disarm the others.
            held, failed = [], [of_plan(plan, Reason.SIMULATION_FAILED, str(error))]
        for one in failed:
            log.info(PREARM_REFUSED, plan=plan.id, reason=one.reason, detail=one.detail)
        return held

    async def _stage(self, ahead: Ahead[M, P], side: Side[M, P], price: int) -> Stage:
        """Return the newest head with what makes a side's feed come to a price."""
        bench, timestamp = self._bench, self._crossings.timestamp(ahead.head)
        feed = bench.watcher.followed(side.feed)
        fed = await bench.stand_ins.at(feed, ahead.prices, price, timestamp, falls=side.falls)
        overrides = {**bench.overrides, **fed}
        return Stage(head=ahead.head, timestamp=timestamp, ahead=(), overrides=overrides)

    def _salvo(
        self, ahead: Ahead[M, P], side: Side[M, P], plans: list[Plan], exposure: Exposure
    ) -> Salvo:
        """Return the side signed, for as far as no guard would object to a price."""
        watcher, now = self._bench.watcher, ahead.prices.prices[side.feed].value
        head = ahead.head
        block = replace(
            head, number=head.number + 1, timestamp=head.timestamp + self._bench.block_time_s
        )
        candidates = {one.opportunity.ref: one for one in side.candidates}

        def admits(price: int) -> bool:
            return watcher.admits(ahead.prices, side.feed, price, block, falls=side.falls)

        far = self._farthest(now, admits, falls=side.falls)
        signed = self._arming.sign(plans, exposure, target_block=head.number + 2)
        return Salvo(
            feed=side.feed,
            falls=side.falls,
            shots=tuple(
                Shot(
                    plan=plan,
                    submission=submission,
                    price=candidates[plan.ref].price,
                    is_under=self._crossings.is_under(
                        candidates[plan.ref].view, candidates[plan.ref].position, side.feed
                    ),
                    feeds=self._crossings.feeds_of(ahead, candidates[plan.ref].position),
                )
                for plan, submission in signed
            )
            if far is not None
            else (),
            lowest=far if side.falls and far is not None else now,
            highest=far if not side.falls and far is not None else now,
            block=head.number,
            until_ns=self._until_ns(ahead, plans),
        )

    def _until_ns(self, ahead: Ahead[M, P], plans: list[Plan]) -> int:
        """Return until when a block may come that leaves the plans in time for the one after it."""
        first = min((plan.deadline for plan in plans), default=0)
        left_s = first - ahead.head.timestamp - self._bench.block_time_s
        return ahead.seen_ns + left_s * _NS
