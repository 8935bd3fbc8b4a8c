"""Take back bundles that would not pay any more: one whose block is gone is over at no cost.

Only from the highest nonce down: one below what is kept must have its nonce used.
"""

import asyncio
from collections.abc import Callable

import structlog

from keeper.core.plan import Intent, Outcome, Purpose, Submission
from keeper.core.ports import Wire
from keeper.executor.airborne import Airborne
from keeper.executor.endings import dropped
from keeper.executor.means import Means
from keeper.executor.policy import Exposure
from keeper.executor.second_look import Overdue, SecondLook, why

log = structlog.get_logger()

GIVEN_UP = "liquidation.given_up"


class TakingBack:
    """Takes back what one signer has with builders. Only its tender calls it."""

    def __init__(
        self, means: Means, second: SecondLook, on_settled: Callable[[Intent, Outcome], None]
    ) -> None:
        """Take back by the lane of ``means``; ``on_settled`` hears of each that is over."""
        self._means = means
        self._second = second
        self._on_settled = on_settled

    async def taken_back(self, found: Overdue, exposure: Exposure) -> int:
        """Take back the bundles above all that is kept, none waiting for another's answer.

        What can no longer land is dropped, from the highest nonce on; returns how many were taken
        back.
        """
        means, back = self._means, 0
        for newest, one in reversed(found.waiting) if means.lane.expires else ():
            if not await self._is_over(newest, one, found, exposure):
                break
            back += 1
        gone = list(reversed(found.waiting))[:back]
        await asyncio.gather(*(means.lane.withdraw(newest) for newest, _ in gone))
        for newest, one in gone:
            # Something above it may have taken off meanwhile.
            if found.head.number >= newest.target_block and not means.flight.holds_up(newest):
                await self._drop(newest, one, why(one, found.verdicts.get(newest.plan_id)))
        return back

    async def _is_over(
        self, newest: Submission, one: Airborne, found: Overdue, exposure: Exposure
    ) -> bool:
        """Return whether a transaction is to be cancelled, and is gone with its block.

        What went out by another lane before is not, nor is what everybody saw in a block that a
        reorg undid: nodes have it pending.
        """
        verdict = found.verdicts.get(newest.plan_id)
        purpose, _ = self._second.judged(newest, one, verdict, found.head, exposure)
        is_own = all(each.lane == self._means.lane.name for each in one.intent.attempts)
        is_to_end = newest.plan_id in found.plan_ids and purpose is Purpose.CANCEL
        return is_own and is_to_end and not await is_pending(self._means.wire, one)

    async def _drop(self, newest: Submission, one: Airborne, because: str) -> None:
        """Give up what can no longer land, its block being gone: it cost nothing."""
        means = self._means
        tell_given_up(newest, because)
        outcome = dropped(one.intent, f"not included; {because}")
        await means.journal.settle(outcome)
        means.flight.landed(newest.plan_id)
        means.desk.nonces.released(newest.nonce)
        self._on_settled(one.intent, outcome)


def tell_given_up(newest: Submission, because: str) -> None:
    """Log that a liquidation is given up, and why."""
    log.info(GIVEN_UP, plan=newest.plan_id, why=because)


async def is_pending(wire: Wire, one: Airborne) -> bool:
    """Return whether a node has any of an intent's transactions."""
    for attempt in one.intent.attempts:
        if await wire.knows(attempt.tx_hash):
            return True
    return False
