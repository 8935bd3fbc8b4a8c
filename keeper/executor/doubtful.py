"""What an earlier run signed ahead, and the node has not got: it was not sent, or the node lost it.

Another node may hold such a transaction yet. Until its nonce has been used for as long as a reorg
reaches back it may turn out to be what used it, and then its intent is open again: it is in the
books as any other, and nobody else is accused of having used the key.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from keeper.core.chain import BlockRef
from keeper.core.errors import RefusedError, StaleError
from keeper.core.plan import Intent, Submission
from keeper.core.ports import Journal, Wire
from keeper.core.units import Address
from keeper.executor.flight import Flight
from keeper.executor.recovery import open_armed

log = structlog.get_logger()

FOUND_LATE: Final = "prearm.found_landed"
UNTOLD: Final = "prearm.untold"
"""Nodes tell otherwise, or not at all, whether it landed; the next head looks again."""


class Doubtful:
    """Watches them, until it is known what became of each. Only the settling loop calls it."""

    def __init__(
        self, doubts: Sequence[Intent], *, journal: Journal, wire: Wire, flight: Flight, depth: int
    ) -> None:
        """Watch armed ones; ``depth`` blocks after its nonce was used one is forgotten."""
        self._doubts = {one.plan_id: one for one in doubts}
        self._used_since: dict[str, int] = {}
        self._journal = journal
        self._wire = wire
        self._flight = flight
        self._depth = depth

    async def look(self, head: BlockRef) -> None:
        """Open what has landed by ``head``, and forget what cannot land any more."""
        senders = {signed.sender for one in self._doubts.values() for signed in one.attempts}
        counts = {
            sender: count for sender in senders if (count := await self._count(sender)) is not None
        }
        for plan_id, one in list(self._doubts.items()):
            if any(signed.sender not in counts for signed in one.attempts):
                continue
            try:
                is_known = await self._is_known(one, counts, head)
            except (StaleError, RefusedError) as error:
                log.warning(UNTOLD, plan=plan_id, why=str(error))
                continue
            if is_known:
                del self._doubts[plan_id]

    async def _count(self, sender: Address) -> int | None:
        """Return the next nonce of a sender, asked once for all that it signed."""
        try:
            return await self._wire.nonce(sender, pending=False)
        except (StaleError, RefusedError) as error:
            log.warning(UNTOLD, sender=sender, why=str(error))
            return None

    async def _is_known(self, one: Intent, counts: Mapping[Address, int], head: BlockRef) -> bool:
        """Return whether it is known by now what became of it, and is acted on."""
        landed = await self._landed(one, counts)
        if landed is not None:
            return await open_armed(one, landed, FOUND_LATE, self._journal, self._flight)
        if self._is_over(one, counts, head):
            await self._journal.disarm([one.plan_id])
            return True
        return False

    async def _landed(self, one: Intent, counts: Mapping[Address, int]) -> Submission | None:
        for signed in one.attempts:
            is_used = signed.nonce < counts[signed.sender]
            if is_used and await self._wire.receipt(signed.tx_hash) is not None:
                return signed
        return None

    def _is_over(self, one: Intent, counts: Mapping[Address, int], head: BlockRef) -> bool:
        """Return whether something else has used every nonce of it, for long enough."""
        plan_id = one.plan_id
        if any(signed.nonce >= counts[signed.sender] for signed in one.attempts):
            self._used_since.pop(plan_id, None)  # or a reorg has freed it again
            return False
        return head.number - self._used_since.setdefault(plan_id, head.number) >= self._depth
