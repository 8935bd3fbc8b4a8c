"""Rehearse what is to be sent until it holds, and again where a head came since."""

import structlog
from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.lending import Rejection
from keeper.core.pending import Lead
from keeper.core.plan import Plan
from keeper.core.ports import Simulator
from keeper.core.tick import Tick
from keeper.executor.backoff import Backoff, Cause
from keeper.executor.dividing import Decoders
from keeper.executor.door import Door
from keeper.executor.flight import Flight
from keeper.executor.policy import Exposure
from keeper.executor.rehearse import Stage, rehearse
from keeper.executor.verdicts import of_companions

log = structlog.get_logger()

OVERTAKEN = "rehearsal.overtaken"
"""A head came since; what is to be sent is rehearsed there too."""


class Rehearsal(Struct, frozen=True, kw_only=True):
    """What one carrying out is rehearsed with, at whatever head."""

    exposure: Exposure
    decoders: Decoders
    tick: Tick


class Rehearsals:
    """Finds out which plans hold, one behind the other, and keeps the budgets for them."""

    def __init__(self, simulator: Simulator, door: Door, flight: Flight, backoff: Backoff) -> None:
        """Rehearse by ``simulator``; who fails is held back, unless a look at that head comes."""
        self._simulator = simulator
        self._door = door
        self._flight = flight
        self._backoff = backoff

    async def held(
        self, plans: list[Plan], stage: Stage, case: Rehearsal
    ) -> tuple[list[Plan], list[Rejection]]:
        """Return the plans that hold and are let through with the gas that they really take.

        Those behind one that is not are rehearsed again, made anew where they counted on it. What
        the budgets over all chains leave room for is kept for the plans.
        """
        rejected: list[Rejection] = []
        while True:
            held, failed = await rehearse(plans, self._simulator, stage, case.decoders)
            case.tick.mark("rehearse")
            for rejection in failed if stage.is_final else ():
                self._backoff.failed(rejection.ref, Cause.REHEARSAL, stage.head.number)
            exposure = case.exposure.by_now(self._flight)
            sure, late = self._door.reserve(*self._door.admit(held, exposure))
            rejected += [*failed, *late]
            if sure == held[: len(sure)]:
                return sure, rejected
            self._door.release()
            plans, gone = stage.remake(sure)
            rejected += gone

    async def again(
        self,
        plans: list[Plan],
        newest: BlockRef | None,
        stage: Stage,
        case: Rehearsal,
        lead: Lead | None,
    ) -> tuple[list[Plan], list[Rejection]]:
        """Rehearse once more, on the newest head, where one came since; no plan is made anew.

        What would fail there, or does not pay there, is not sent; whoever it is of is planned for
        at that head.
        """
        if not plans or newest is None or not stage.is_behind(newest):
            return plans, []
        log.info(OVERTAKEN, planned_at=stage.head.number, head=newest.number, plans=len(plans))
        self._door.release()
        ahead = await self._door.ahead(newest, newest, lead)
        sure, gone = await self.held(plans, stage.moved_to(newest, ahead), case)
        return sure, [*gone, *of_companions(plans, gone)]
