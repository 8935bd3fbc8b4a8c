"""Send what was signed ahead, within the call that hears of the price.

Everything that may wait was done before: the plan, its rehearsal, the signature, the journal. What
is left is to see who crossed, to pass the one policy, and to write. A transaction whose nonce is
not the next one any more is signed again on the spot and noted before it is written. Whatever
stands in the way (a halt, a nonce that is being taken, a price that a guard objects to, an account
that changed) leaves the account to the ordinary way, which comes right behind.
"""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from time import perf_counter_ns
from typing import Final, NamedTuple

from keeper.core.lending import AccountRef
from keeper.core.plan import Plan, Submission
from keeper.core.ports import Journal
from keeper.core.tick import Rung, Tick
from keeper.core.units import Hash32
from keeper.core.values import replace
from keeper.executor.aftermath import Aftermath, Fired
from keeper.executor.armament import Armament
from keeper.executor.executor import Executor
from keeper.executor.lanes.lane import Delivery
from keeper.executor.policy import Exposure, Limits, judge
from keeper.executor.salvo import Salvo, Shot, Since
from keeper.executor.upcoming import UpcomingNonces


class _Written(NamedTuple):
    """A shot that is out."""

    plan: Plan
    submission: Submission
    answer: Awaitable[Delivery] | None
    marks: list[tuple[str, int]]


_MARKS: Final = len(("judge", "send"))
"""Of a shot that was not signed anew."""


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
        self._since = defaultdict[str, Since](Since)
        """By deployment."""
        self._voids = Counter[str]()
        """How often each deployment was voided."""
        self._exposure: Exposure | None = None
        """What was spent as of the head that was armed at."""
        self._now: Exposure | None = None
        """That with what is at stake."""
        self.aftermath = Aftermath(executor, armament.lane)
        """What follows once something is out."""
        self._fault: Exception | None = None
        self._drills = 0

    def holds(self, deployment: str) -> int:
        """Return how many shots are ready for a deployment."""
        return sum(len(one.shots) for one in self._of(deployment))

    def begin(self, deployment: str, block: int) -> None:
        """Hear that the head of a block is prepared for, and none before it any more."""
        self._since[deployment].forget(block)

    async def load(self, deployment: str, salvos: Sequence[Salvo], exposure: Exposure) -> None:
        """Take new salvos for a deployment: on disk first, then in the old ones' place.

        Void while they are written, they are on disk alone.
        """
        voids = self._voids[deployment]
        before = self._on_disk.get(deployment, {})
        signed: dict[Hash32, Shot] = {}
        for shot in (shot for salvo in salvos for shot in salvo.shots):
            signed.setdefault(key := shot.submission.tx_hash, before.get(key, shot))
        fresh = [(s.plan, s.submission) for key, s in signed.items() if key not in before]
        if fresh:
            await self._journal.arm(fresh)
        self._exposure, self._now = exposure, None
        by_feed: dict[tuple[str, str], tuple[Salvo, ...]] = {}
        primed = {key: self._primed(shot) for key, shot in signed.items()}
        left = self._since[deployment].left
        live = salvos if self._voids[deployment] == voids else ()
        for salvo in (self._cleared(left(one.journaled(primed))) for one in live):
            feed = (deployment, salvo.feed)
            by_feed[feed] = (*by_feed.get(feed, ()), salvo)
        self.void(deployment)
        self._salvos |= by_feed
        self._on_disk[deployment] = signed
        void = [shot.plan.id for key, shot in before.items() if key not in signed]
        if void:
            await self._journal.disarm(void)

    def void(self, deployment: str) -> None:
        """Fire nothing of a deployment until it is loaded again."""
        self._voids[deployment] += 1
        self._salvos = {key: one for key, one in self._salvos.items() if key[0] != deployment}

    async def disarm(self, deployment: str) -> None:
        """Fire nothing of a deployment any more, and forget what was signed for it."""
        self.void(deployment)
        signed = self._on_disk.pop(deployment, {})
        if signed:
            await self._journal.disarm([shot.plan.id for shot in signed.values()])

    def touched(self, deployment: str, refs: Collection[AccountRef], block: int) -> None:
        """Take out accounts that changed in a block since they were armed, or are being armed."""
        self._since[deployment].touched(refs, block)
        self._change(deployment, lambda salvo: salvo.without(frozenset(refs)))

    def moved(self, deployment: str, feeds: frozenset[str], block: int) -> None:
        """Take out accounts that are armed for one feed and depend on another that moved."""
        self._since[deployment].moved(feeds, block)
        self._change(deployment, lambda salvo: salvo.after(feeds))

    def fire(
        self, deployment: str, feed: str, price: int, block: int, tick: Tick, *, dry: bool = False
    ) -> int:
        """Send all that is due at a feed's price, which an event of a block told.

        Returns how many were written or are on their way. A dry run goes the way of the first up to
        the write, and writes nothing: caches stay warm.
        """
        fired: list[Fired] = []
        try:
            for salvo in self._salvos.get((deployment, feed), ()):
                # What its deadline would refuse is left to the ordinary way, which has another.
                due = salvo.due(price, block) if tick.began_ns <= salvo.until_ns else []
                if not due or self._standing.halted is not None or self._flight.numbering:
                    continue
                tick.mark("look_up")
                if dry:
                    self._drills += 1
                    return len(self._write(salvo, due[:1], dry=True))
                fired += [self._took_off(one, tick) for one in self._write(salvo, due)]
        finally:  # whatever the next salvo's rules raise
            self._note(deployment, fired, block)
        return len(fired)

    def _note(self, deployment: str, fired: Sequence[Fired], block: int) -> None:
        """Have what is out booked, then raised what befell the rest.

        What was out once is not fired again, whatever became of it: its intent has its nonce.
        """
        if fired:
            booked = self._journal.fired([one.submission for one in fired])
            self.aftermath.take(fired, booked)
            self.touched(deployment, [one.plan.ref for one in fired], block)
        if self._fault is not None:
            self.aftermath.fail(self._fault)

    def _write(self, salvo: Salvo, due: Sequence[Shot], *, dry: bool = False) -> list["_Written"]:
        """Pass each shot through policy and write it; all else waits until those are out."""
        written: list[_Written] = []
        going: list[Plan] = []
        nonces = UpcomingNonces(self._armament.desks, self._flight)
        cleared = salvo.cleared if salvo.as_of == self._flight.changes else 0
        exposure = self._current() if len(due) > cleared else None
        try:
            for number, shot in enumerate(due):
                nonce = nonces.upcoming(shot.submission.sender)
                if nonce is None or (number >= cleared and not self._passes(shot, exposure)):
                    continue
                going.append(shot.plan)
                if self._executor.over_totals(going):
                    going.pop()
                    continue
                written.append(self._sent(shot, nonce, dry=dry))
                nonces.used(shot.submission.sender, nonce)
                exposure = None if exposure is None else exposure.with_plan(shot.plan)
        except Exception as error:  # noqa: BLE001 - for ``run``: what is out is booked all the same
            self._fault = error
        return written

    def _passes(self, shot: Shot, exposure: Exposure | None) -> bool:
        return exposure is not None and judge(shot.plan, self._limits, exposure) is None

    def _sent(self, shot: Shot, nonce: int, *, dry: bool) -> "_Written":
        """Write a shot, signed anew where its nonce is not the next one."""
        marks = [("judge", perf_counter_ns())]
        plan, submission, primed = shot.plan, shot.submission, shot.primed
        if submission.nonce != nonce or (dry and self._drills & 1):  # every other drill signs too
            plan, submission = self._renumbered(shot, nonce, marks, dry=dry)
            primed = self._armament.lane.prime(submission)
        if primed is None:
            marks.append(("send", perf_counter_ns()))
            return _Written(plan, submission, None, marks)
        if (primed.touch if dry else primed.write)():
            marks.append(("send", perf_counter_ns()))
            return _Written(plan, submission, None if dry else primed.answer(), marks)
        answer = None if dry else self._armament.lane.post(submission)  # by another socket
        marks.append(("send", perf_counter_ns()))
        return _Written(plan, submission, answer, marks)

    def _renumbered(
        self, shot: Shot, nonce: int, marks: list[tuple[str, int]], *, dry: bool
    ) -> tuple[Plan, Submission]:
        """Sign the plan for another nonce, and note that before it can be sent.

        The journal may have these bytes, under the name of the account's plan at another feed's
        price: then they go out under that.
        """
        desk = self._armament.desks.of(shot.submission.sender)
        submission = desk.renumbered(shot.plan, shot.submission, nonce)
        marks.append(("sign", perf_counter_ns()))
        known = self._on_disk.get(shot.plan.deployment, {}).get(submission.tx_hash)
        if known is not None and not dry:
            return known.plan, known.submission
        self._journal.note(submission, dry=dry)
        marks.append(("journal", perf_counter_ns()))
        return shot.plan, submission

    def _took_off(self, one: "_Written", since: Tick) -> Fired:
        """Note that a shot is out."""
        is_new = len(one.marks) > _MARKS
        tick = Tick(since.began_ns, Rung.PREPARED if is_new else Rung.PREARMED)
        tick.marks = [*since.marks, *one.marks]
        self._armament.desks.of(one.submission.sender).nonces.used(one.submission.nonce)
        self._flight.took_off(one.plan, one.submission)
        return Fired(plan=one.plan, submission=one.submission, answer=one.answer, tick=tick)

    def _current(self) -> Exposure | None:
        """Return what is at stake now; what was spent is as of the head that was armed at."""
        now, armed = self._now, self._exposure
        if armed is not None and (now is None or now.as_of != self._flight.changes):
            now = self._now = armed.by_now(self._flight)
        return now

    def _primed(self, shot: Shot) -> Shot:
        return replace(shot, primed=self._armament.lane.prime(shot.submission))

    def _cleared(self, salvo: Salvo) -> Salvo:
        """Return the salvo with what policy says of it now, as long as nothing changes."""
        exposure, cleared = self._current(), 0
        for shot in salvo.shots:
            if exposure is None or not self._passes(shot, exposure):
                break
            exposure, cleared = exposure.with_plan(shot.plan), cleared + 1
        return replace(salvo, cleared=cleared, as_of=self._flight.changes)

    def _of(self, deployment: str) -> list[Salvo]:
        return [
            salvo
            for (name, _), salvos in self._salvos.items()
            if name == deployment
            for salvo in salvos
        ]

    def _change(self, deployment: str, change: Callable[[Salvo], Salvo]) -> None:
        changed: Mapping[tuple[str, str], tuple[Salvo, ...]] = {
            key: tuple(self._changed(one, change(one)) for one in salvos)
            for key, salvos in self._salvos.items()
            if key[0] == deployment
        }
        self._salvos |= changed

    def _changed(self, before: Salvo, after: Salvo) -> Salvo:
        return before if after is before else self._cleared(after)
