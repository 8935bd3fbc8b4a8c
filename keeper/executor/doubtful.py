"""What an earlier run signed ahead, and the node has not got: it was not sent, or the node lost it.

Another node may hold such a transaction yet. Until its nonce has been used for as long as a reorg
reaches back it may come up again, or turn out to be what used it, and then its intent is open: its
account is barred, it is tended and in the books as any other, and nobody else is accused of having
used the key.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.errors import RefusedError, StaleError
from keeper.core.plan import Intent, Submission
from keeper.core.ports import Journal, Wire
from keeper.core.units import Address
from keeper.executor.flight import Flight
from keeper.executor.recovery import open_armed

log = structlog.get_logger()

UNTOLD: Final = "prearm.untold"
"""Nodes tell otherwise, or not at all, whether it landed; the next head looks again."""


class _Counts(Struct, frozen=True, kw_only=True):
    """The next nonces of a sender, without and with what a node has pending of it."""

    confirmed: int
    pending: int


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
        """Open what is out by ``head``, and forget what cannot land any more."""
        senders = {signed.sender for one in self._doubts.values() for signed in one.attempts}
        told = {sender: counts for sender in senders if (counts := await self._counts(sender))}
        for plan_id, one in list(self._doubts.items()):
            if any(signed.sender not in told for signed in one.attempts):
                continue
            try:
                is_known = await self._is_known(one, told, head)
            except (StaleError, RefusedError) as error:
                log.warning(UNTOLD, plan=plan_id, why=str(error))
                continue
            if is_known:
                del self._doubts[plan_id]

    async def _counts(self, sender: Address) -> _Counts | None:
        """Return the next nonces of a sender, asked for once for all that it signed."""
        try:
            return _Counts(
                confirmed=await self._wire.nonce(sender, pending=False),
                pending=await self._wire.nonce(sender, pending=True),
            )
        except (StaleError, RefusedError) as error:
            log.warning(UNTOLD, sender=sender, why=str(error))
            return None

    async def _is_known(self, one: Intent, told: Mapping[Address, _Counts], head: BlockRef) -> bool:
        """Return whether it is known by now what became of it, and is acted on."""
        for signed in one.attempts:
            if await self._is_out(signed, told[signed.sender]):
                return await open_armed(one, signed, self._journal, self._flight)
        if self._is_over(one, told, head):
            await self._journal.disarm([one.plan_id])
            return True
        return False

    async def _is_out(self, signed: Submission, counts: _Counts) -> bool:
        """Return whether it has landed, or the node has it by now; what cannot be is not asked."""
        if signed.nonce < counts.confirmed:
            return await self._wire.receipt(signed.tx_hash) is not None
        is_pending = signed.nonce < counts.pending
        is_held = signed.nonce in self._flight.held(signed.sender)
        return is_pending and not is_held and await self._wire.knows(signed.tx_hash)

    def _is_over(self, one: Intent, told: Mapping[Address, _Counts], head: BlockRef) -> bool:
        """Return whether something else has used every nonce of it, for long enough."""
        plan_id = one.plan_id
        if any(signed.nonce >= told[signed.sender].confirmed for signed in one.attempts):
            self._used_since.pop(plan_id, None)  # or a reorg has freed it again
            return False
        return head.number - self._used_since.setdefault(plan_id, head.number) >= self._depth
