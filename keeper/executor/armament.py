"""What sending takes: keys, a way out, and somebody who looks after what is in flight."""

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

        It keeps no other from it; a node that does not answer is not waited for by each of them.
        """
        failed: RefusedError | StaleError | None = None
        for tender in self.tenders:
            try:
                await tender.tend(head, await exposure(head), next_block)
            except (RefusedError, StaleError) as error:
                failed = failed or error
        return failed
