"""What may be acted on: markets that agree with the chain, on a head that is one.

Drift pauses its market on disk, tells whoever watches, and waits for a person: watching and
showing go on, nothing is done.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from msgspec import Struct

from keeper.app.observer import Observer
from keeper.core.chain import BlockRef
from keeper.core.errors import DriftError, StaleError, TransientError
from keeper.core.lending import AccountRef, Reason, Rejection
from keeper.core.plan import Plan
from keeper.mirror.audit import AccountsDriftedError, Ground, ParityAudit
from keeper.mirror.pauses import EVERY_MARKET, Evidence, Pauses
from keeper.oracle.guards import clock_problem

M = TypeVar("M")
P = TypeVar("P")


class HeadLimits(Struct, frozen=True, kw_only=True):
    """How far a head's timestamp may be from our clock, seconds."""

    most_age_s: int
    most_lead_s: int


class Parity(Generic[M, P]):
    """Decides for one deployment which accounts must be left alone, whatever they are worth."""

    def __init__(
        self,
        audit: ParityAudit[M, P],
        pauses: Pauses,
        observer: Observer,
        *,
        every_blocks: int,
        heads: HeadLimits | None,
        now: Callable[[], float],
        forget: Callable[[], None] = lambda: None,
    ) -> None:
        """Look at a sample ``every_blocks``. Without ``heads`` a head has no age.

        ``forget`` takes away what a later start would go on from: what drifted may be in it.
        """
        self._audit = audit
        self._pauses = pauses
        self._observer = observer
        self._every = every_blocks
        self._heads = heads
        self._now = now
        self._forget = forget
        self._paused: dict[str, str] = {}
        self._ground: Ground[M, P] | None = None
        self._looked_at = -1

    def start(self, deployment: str) -> None:
        """Take up the pauses that an earlier run left. Raises ConfigError when unreadable."""
        self._paused = self._pauses.load()
        for why in dict.fromkeys(self._paused.values()):
            self._observer.paused(deployment, why)

    def leave(self, why: str) -> None:
        """Act on nothing any more in this run, and on nothing that is on its way."""
        self._paused = {EVERY_MARKET: why}

    @property
    def is_paused(self) -> bool:
        """Return whether something of the mirror was found to differ from the chain."""
        return bool(self._paused)

    @property
    def is_lifted(self) -> bool:
        """Return whether a person has lifted the pause since; it bars until ``resume``."""
        return bool(self._paused) and not self._pauses.is_paused()

    def resume(self, deployment: str) -> None:
        """Forget the pause, and tell it: what it was about has been read anew."""
        self._paused = {}
        self._observer.resumed(deployment)

    def bar(self, ref: AccountRef, block: BlockRef) -> Rejection | None:
        """Return why an account must be left alone at ``block``, or None."""
        why = self._paused.get(ref.market, self._paused.get(EVERY_MARKET))
        if why is not None:
            return _no(ref, block, Reason.MARKET_PAUSED, why)
        if self._heads is None:
            return None
        limits = self._heads
        trouble = clock_problem(
            block.timestamp,
            int(self._now()),
            most_age_s=limits.most_age_s,
            most_lead_s=limits.most_lead_s,
        )
        return None if trouble is None else _no(ref, block, Reason.HEAD_UNUSABLE, trouble)

    def bar_plan(self, plan: Plan) -> Rejection | None:
        """Return why a plan must not be carried out, or None."""
        return self.bar(plan.ref, plan.opportunity.block)

    def take(self, ground: Ground[M, P]) -> None:
        """Take the newest mirror: what is acted on is compared with the chain at its block."""
        self._ground = ground
        self._audit.take(ground)

    async def check_ahead(self, refs: Sequence[AccountRef]) -> None:
        """Compare accounts that may be planned; ``sound`` asks again for those that differ."""
        if self._ground is not None:
            with suppress(DriftError, StaleError, TransientError):
                await self._audit.check(self._ground, refs)

    async def look(
        self, deployment: str, ground: Ground[M, P], known: Collection[AccountRef]
    ) -> None:
        """Take the newest mirror, and compare a sample of its accounts when it is time to."""
        self.take(ground)
        due = ground.block.number - self._looked_at >= self._every
        if not due and ground.block.number >= self._looked_at:
            return
        try:
            await self._audit.check_sample(ground, known)
        except AccountsDriftedError as error:
            self.pause(deployment, error, ground.block)
        self._looked_at = ground.block.number

    async def sound(
        self, deployment: str, plans: Sequence[Plan]
    ) -> tuple[list[Plan], list[Rejection]]:
        """Compare whom the plans are about with the chain; return those that may go on."""
        ground = self._ground
        if ground is None or not plans:
            return list(plans), []
        try:
            await self._audit.check(ground, [plan.ref for plan in plans])
        except AccountsDriftedError as error:
            self.pause(deployment, error, ground.block)
        barred = [(plan, self.bar_plan(plan)) for plan in plans]
        going = [plan for plan, rejection in barred if rejection is None]
        return going, [rejection for _, rejection in barred if rejection is not None]

    def pause(self, deployment: str, error: DriftError, block: BlockRef) -> None:
        """Act no more on what drifted: on disk first, then told."""
        accounts = error if isinstance(error, AccountsDriftedError) else None
        markets = accounts.markets if accounts else frozenset({EVERY_MARKET})
        if markets <= self._paused.keys():
            return
        why = (
            f"{error}; both sides are in {self._pauses.path}; "
            f"when it is understood: keeper resume {deployment}"
        )
        drifted = accounts.drifted if accounts else {}
        evidence = Evidence(why=why, markets=markets, block=block, drifted=drifted)
        self._pauses.add(evidence, now=int(self._now()))
        self._paused |= dict.fromkeys(markets, why)
        self._forget()
        self._observer.paused(deployment, why)


def _no(ref: AccountRef, block: BlockRef, reason: Reason, detail: str) -> Rejection:
    return Rejection(ref=ref, block=block.number, reason=reason, detail=detail)
