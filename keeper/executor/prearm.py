"""Send what was signed ahead, within the call that hears of the price.

Everything that may wait was done before: the plan, its rehearsal, the signature, the journal. What
is left is to see who crossed, to pass the one policy, and to write. A transaction whose nonce is
not the next one any more is signed again on the spot and noted before it is written. Whatever
stands in the way (a halt, a nonce that is being taken, a price that a guard objects to, an account
that changed) leaves the account to the ordinary way, which comes right behind.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import structlog

from keeper.core.errors import InvariantError
from keeper.core.lending import AccountRef
from keeper.core.plan import Plan, Submission
from keeper.core.ports import Journal
from keeper.core.tick import Rung, Tick
from keeper.core.units import Hash32
from keeper.executor.armament import Armament
from keeper.executor.executor import Executor
from keeper.executor.lanes.lane import Delivery, delivered
from keeper.executor.policy import Exposure, Limits, judge
from keeper.executor.salvo import Salvo, Shot

log = structlog.get_logger()

PREARM_VOID = "prearm.voided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """A transaction that was written, or is about to be where its lane cannot at once."""

    plan: Plan
    submission: Submission
    answer: Awaitable[Delivery] | None
    """What became of it; None until its lane is asked."""
    tick: Tick


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """What one price brought, and its entry in the journal."""

    fired: tuple[Fired, ...]
    booked: Awaitable[None]


class Prearm:
    """Holds what is signed ahead for every deployment of a chain, and fires it."""

    def __init__(
        self, executor: Executor, armament: Armament, *, journal: Journal, limits: Limits
    ) -> None:
        """Arm nothing yet."""
        self._limits = limits
        self._journal = journal
        self._flight = executor.flight
        self._standing = executor.standing
        self._armament = armament
        self._executor = executor
        self._salvos: dict[tuple[str, str], tuple[Salvo, ...]] = {}
        self._on_disk: dict[str, Mapping[Hash32, Shot]] = {}
        """Transactions in the journal, by deployment and hash."""
        self._exposure: Exposure | None = None
        """What was spent as of the head that was armed at."""
        self._now: Exposure | None = None
        """That with what is at stake, as of the flight's state ``_as_of``."""
        self._as_of = -1
        self._mail: asyncio.Queue[_Batch | InvariantError] = asyncio.Queue()
        self._drills = 0
        self._listeners: list[Callable[[Fired], None]] = []

    def on_fired(self, listener: Callable[[Fired], None]) -> None:
        """Have a listener hear of each transaction, once all of its price are written."""
        self._listeners.append(listener)

    def holds(self, deployment: str) -> int:
        """Return how many shots are ready for a deployment."""
        return sum(len(one.shots) for one in self._of(deployment))

    async def load(self, deployment: str, salvos: Sequence[Salvo], exposure: Exposure) -> None:
        """Take new salvos for a deployment: on disk first, then in the old ones' place."""
        before = self._on_disk.get(deployment, {})
        signed: dict[Hash32, Shot] = {}
        for shot in (shot for salvo in salvos for shot in salvo.shots):
            key = shot.submission.tx_hash
            signed.setdefault(key, before.get(key, shot))
        fresh = [(s.plan, s.submission) for key, s in signed.items() if key not in before]
        if fresh:
            await self._journal.arm(fresh)
        by_feed: dict[tuple[str, str], tuple[Salvo, ...]] = {}
        for salvo in (one.journaled(signed) for one in salvos):
            feed = (deployment, salvo.feed)
            by_feed[feed] = (*by_feed.get(feed, ()), salvo)
        self.void(deployment)
        self._salvos |= by_feed
        self._exposure, self._as_of = exposure, -1
        self._current()
        self._on_disk[deployment] = signed
        void = [shot.plan.id for key, shot in before.items() if key not in signed]
        if void:
            await self._journal.disarm(void)

    def void(self, deployment: str) -> None:
        """Fire nothing of a deployment until it is loaded again."""
        self._salvos = {key: one for key, one in self._salvos.items() if key[0] != deployment}

    def touched(self, deployment: str, refs: Collection[AccountRef]) -> None:
        """Take out accounts that changed since they were armed."""
        self._change(deployment, lambda salvo: salvo.without(frozenset(refs)))

    def moved(self, deployment: str, feeds: frozenset[str]) -> None:
        """Take out accounts that were armed for one feed and depend on another that moved."""
        self._change(deployment, lambda salvo: salvo.after(feeds))

    def exercise(self, deployment: str, feed: str, price: int, block: int, tick: Tick) -> int:
        """Go the way of ``fire`` up to the write, and write nothing: caches stay warm."""
        self._drills += 1  # every other one signs anew
        due = self._due(deployment, feed, price, block, tick)
        return sum(1 for _ in self._written(due[:1], tick, dry=True)) if due else 0

    def fire(self, deployment: str, feed: str, price: int, block: int, tick: Tick) -> int:
        """Send all that is due at a feed's price, which an event of a block told.

        Returns how many were written or are on their way.
        """
        due = self._due(deployment, feed, price, block, tick)
        fired: list[Fired] = []
        try:
            for one in self._written(due, tick):
                fired.append(one)  # noqa: PERF402 - what is out before an error is booked too
            if fired:
                booked = self._journal.fired([one.submission for one in fired])
                self._mail.put_nowait(_Batch(fired=tuple(fired), booked=booked))
        except InvariantError as error:
            self._mail.put_nowait(error)
        return len(fired)

    async def run(self) -> None:
        """Enter in the books what was fired and what became of it, for ever.

        Raises InvariantError when the journal failed: what cannot be journaled is not sent.
        """
        while True:
            batch = await self._mail.get()
            if isinstance(batch, InvariantError):
                raise batch
            await batch.booked
            for one in batch.fired:
                for listener in self._listeners:
                    listener(one)
            submissions = [one.submission for one in batch.fired]
            answers = [one.answer for one in batch.fired]
            deliveries = await delivered(self._armament.lane, submissions, answers)
            await self._executor.book([one.plan for one in batch.fired], submissions, deliveries)

    def _due(
        self, deployment: str, feed: str, price: int, block: int, tick: Tick
    ) -> Sequence[Shot]:
        """Return the shots that a price brings, none while nothing may be sent."""
        salvos = self._salvos.get((deployment, feed), ())
        due = [shot for salvo in salvos for shot in salvo.due(price, block)]
        if not due or self._standing.halted is not None or self._flight.numbering:
            return ()
        tick.mark("look_up")
        return due

    def _written(self, due: Sequence[Shot], tick: Tick, *, dry: bool = False) -> Iterator[Fired]:
        """Pass each shot through policy and write it; a dry run stops short of that."""
        desk, flight = self._armament.desks.first, self._flight
        exposure, nonce = self._current(), desk.nonces.upcoming(flight.held(desk.address))
        if exposure is None or nonce is None:
            return
        for shot in due:
            if judge(shot.plan, self._limits, exposure) is not None:
                continue
            if self._executor.over_totals(shot.plan):
                continue
            one = Tick(tick.began_ns, Rung.PREARMED)
            one.marks = list(tick.marks)
            one.mark("judge")
            submission = shot.submission
            if submission.nonce != nonce or (dry and self._drills % 2):
                submission = self._renumbered(shot, nonce, one, dry=dry)
            answer = self._armament.lane.post(submission, dry=dry)
            one.mark("send")
            if dry:
                yield Fired(plan=shot.plan, submission=submission, answer=None, tick=one)
                return
            desk.nonces.used(nonce)
            flight.took_off(shot.plan, submission)
            exposure = exposure.with_plan(shot.plan)
            yield Fired(plan=shot.plan, submission=submission, answer=answer, tick=one)
            nonce += 1

    def _renumbered(self, shot: Shot, nonce: int, tick: Tick, *, dry: bool) -> Submission:
        """Sign the plan for another nonce, and note that before it can be sent."""
        submission = self._armament.desks.first.renumbered(shot.plan, shot.submission, nonce)
        tick.mark("sign")
        self._journal.note(submission, dry=dry)
        tick.mark("journal")
        tick.rung = Rung.PREPARED
        return submission

    def _current(self) -> Exposure | None:
        """Return what is at stake now; what was spent is as of the head that was armed at."""
        changes = self._flight.changes
        if self._as_of != changes and self._exposure is not None:
            self._now, self._as_of = self._exposure.by_now(self._flight), changes
        return self._now

    def _of(self, deployment: str) -> list[Salvo]:
        return [
            salvo
            for (name, _), salvos in self._salvos.items()
            if name == deployment
            for salvo in salvos
        ]

    def _change(self, deployment: str, change: Callable[[Salvo], Salvo]) -> None:
        changed: Mapping[tuple[str, str], tuple[Salvo, ...]] = {
            key: tuple(map(change, salvos))
            for key, salvos in self._salvos.items()
            if key[0] == deployment
        }
        self._salvos |= changed
