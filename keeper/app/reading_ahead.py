"""What acting on a price or a head is likely to need, before there is a plan.

For a price's event it is read while the loans are looked at. All of it goes out at once: what
planning leans on, what is spent, and whether the accounts that crossed are on the chain as they are
in the mirror. Acting waits for the answers and asks for what is missing, so that nothing is decided
by what was read here alone.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Final, Generic, TypeVar

from keeper.app.books import Appraiser
from keeper.app.parity import Parity
from keeper.app.planning import Planning
from keeper.app.skipping import SKIPPED
from keeper.core.chain import BlockRef
from keeper.core.lending import AccountRef, Option
from keeper.core.units import Hash32
from keeper.executor.executor import Executor

M = TypeVar("M")
P = TypeVar("P")

_TURNS: Final = 4
"""Of the loop, until everything has gone out: it is asked by tasks of tasks, and then written."""


class ReadingAhead(Generic[M, P]):
    """Reads for one deployment; the newest event's are the ones that are waited for."""

    def __init__(
        self,
        planning: Planning[M, P],
        executor: Executor,
        parity: Parity[M, P],
        appraiser: Appraiser[M, P],
    ) -> None:
        """Read by those who will ask again."""
        self._planning = planning
        self._appraiser = appraiser
        self._executor = executor
        self._parity = parity
        self._reading: Awaitable[Sequence[BaseException | None]] | None = None
        self._block: Hash32 | None = None
        """The block that was read at last, if anybody's options were known."""

    @property
    def is_waiting(self) -> bool:
        """Whether what was read at last was not waited for yet."""
        return self._reading is not None

    @property
    def newest(self) -> BlockRef | None:
        """The newest head that was heard of."""
        return self._executor.newest

    async def head_of(self, block_hash: Hash32, reading: asyncio.Future[Any]) -> BlockRef | None:
        """Return the block of that hash if it is heard to be the head before it is read."""
        if (newest := self.newest) is not None and newest.hash == block_hash:
            return newest
        heard = asyncio.ensure_future(self._executor.heard(block_hash))
        try:
            await asyncio.wait((heard, reading), return_when=asyncio.FIRST_COMPLETED)
            return heard.result() if heard.done() else None
        finally:
            heard.cancel()

    def begin(self, block: BlockRef, options: Sequence[Option], refs: Sequence[AccountRef]) -> None:
        """Begin to read as of ``block`` for options that it brings, once for each block.

        The accounts are compared with the chain as of the mirror's own block. Where they are not
        known yet, what does not depend on them is read, and the rest when they are.
        """
        if self._block == block.hash:
            return
        self._block = block.hash if refs else None
        self._reading = asyncio.gather(
            self._planning.make_ready(options, block),
            self._executor.make_ready(block) if refs else self._spent(block),
            self._parity.check_ahead(refs),
            self._appraiser.make_ready(refs, block),
            return_exceptions=True,
        )

    async def asked(self) -> None:
        """Return once the questions have gone out; whoever looks on keeps the processor."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    async def done(self) -> None:
        """Return once everything is answered. A read that failed is made again by who needs it.

        Raises what no later block can mend.
        """
        reading, self._reading = self._reading, None
        for error in [] if reading is None else await reading:
            if error is not None and not isinstance(error, SKIPPED):
                raise error

    async def _spent(self, block: BlockRef) -> None:
        await self._executor.exposure(block)
