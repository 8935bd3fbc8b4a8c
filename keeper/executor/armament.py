"""What sending takes: keys, a way out, and somebody who looks after what is in flight."""

import asyncio
from collections.abc import Awaitable, Callable

from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.errors import RefusedError, StaleError
from keeper.executor.desks import Desks
from keeper.executor.lanes.lane import Lane
from keeper.executor.means import NextBlock
from keeper.executor.policy import Exposure
from keeper.executor.tending import Tender


class Armament(Struct, frozen=True, kw_only=True):
    """What an armed executor has and a disarmed one has not."""

    desks: Desks
    lane: Lane
    tenders: tuple[Tender, ...]
    """One for each desk."""

    async def tend(
        self,
        head: BlockRef,
        exposure: Callable[[BlockRef], Awaitable[Exposure]],
        next_block: NextBlock,
    ) -> RefusedError | StaleError | None:
        """Look after what each key has in flight; return what kept the first from it, if anything.

        None waits for another: a key that another process holds may not be answered for.
        """
        taken = await exposure(head)
        each = (tender.tend(head, taken, next_block) for tender in self.tenders)
        ends = await asyncio.gather(*each, return_exceptions=True)
        failed = [one for one in ends if one is not None]
        for one in failed:
            if not isinstance(one, RefusedError | StaleError):
                raise one
        return next((one for one in failed if isinstance(one, RefusedError | StaleError)), None)
