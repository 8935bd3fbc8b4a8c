"""Send to the node's own mempool; on a fork this is the fork's."""

import asyncio
from collections.abc import Awaitable, Sequence

from keeper.core.errors import RefusedError, StaleError, TransientError
from keeper.core.plan import Submission
from keeper.core.ports import Wire
from keeper.core.primed import Primed
from keeper.core.units import Hash32
from keeper.executor.lanes.lane import UNTIED, Delivery, Refused, Taken, Uncertain

NAME = "mempool"


class MempoolLane:
    """Sends for real, for everybody to see."""

    name = NAME
    public = True
    expires = False

    def __init__(self, wire: Wire) -> None:
        """Make a lane to a node."""
        self._wire = wire

    async def send(
        self, submissions: Sequence[Submission], *, lead: bytes | None = None
    ) -> list[Delivery]:
        """Send each once, without waiting for one before the next; the node orders by nonce."""
        if lead is not None:
            return [UNTIED] * len(submissions)
        if len(submissions) == 1:
            return [await self._deliver(submissions[0])]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._deliver(one)) for one in submissions]
        return [task.result() for task in tasks]

    def prime(self, submission: Submission) -> Primed[Delivery] | None:
        """Make a transaction ready for the node's socket, where that is open."""
        primed = self._wire.prime_raw(submission.raw)
        if primed is None:
            return None
        answer = primed.answer
        return Primed(write=primed.write, touch=primed.touch, answer=lambda: _delivery(answer()))

    def post(self, submission: Submission) -> Awaitable[Delivery] | None:
        """Write a transaction before returning, where the node's socket is open."""
        posted = self._wire.post_raw(submission.raw)
        return None if posted is None else _delivery(posted)

    async def withdraw(self, submission: Submission) -> bool:  # noqa: ARG002 - the port's
        """Return False: what the world has seen is not taken back, only outbid."""
        return False

    async def _deliver(self, submission: Submission) -> Delivery:
        return await _delivery(self._wire.send_raw(submission.raw))


async def _delivery(sent: Awaitable[Hash32]) -> Delivery:
    try:
        await sent
    except RefusedError as error:
        return Refused(why=str(error))
    except (TransientError, StaleError) as error:  # refused, and whether it is known is not told
        return Uncertain(why=str(error))
    return Taken()
