"""Liquidate right behind a price update that is still pending, in one bundle with it.

Only by the operator's switch, and only on a lane of bundles: ours run behind the update in the same
block, or not at all. Nothing here is believed of the update but its bytes: the rehearsal runs it in
front of ours, and so does a builder. When it lands without us the bundle is offered again for the
next block as it is; when it does not land, or another takes its place, ours would revert, and the
intent is dropped at no cost.
"""

from collections.abc import Sequence
from typing import Generic, TypeVar

import structlog
from msgspec import Struct

from keeper.app.acting import Acting
from keeper.app.foresight import Foresight
from keeper.app.observer import Observer
from keeper.app.sight import Look
from keeper.app.skipping import SKIPPED
from keeper.core.chain import BlockRef, Transaction
from keeper.core.lending import AccountRef
from keeper.core.pending import Lead, PendingTransaction
from keeper.core.ports import ProtocolAdapter, Wire
from keeper.core.tick import Tick
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.mirror.snapshot import Snapshot
from keeper.runtime.latest import Latest
from keeper.scanner.scan import Book, judge

log = structlog.get_logger()

BACKRUN_LEFT = "backrun.left"
"""An account that an update would bring under the line is not taken with it, and why."""

_Try = tuple[AccountRef, Address]
"""An account, and who sent the update that it was tried behind."""

M = TypeVar("M")
P = TypeVar("P")


class Foreseen(Struct, Generic[M, P], frozen=True, kw_only=True):
    """A pending update, what it would bring, and the loans that it was seen for."""

    transaction: PendingTransaction
    foresight: Foresight
    snapshot: Snapshot[M, P]


_Waiting = dict[Address, Foreseen[M, P]]
"""By who sent the update, in the order in which they are acted on."""


class Backrun(Generic[M, P]):
    """Acts on foresights of one deployment; of each sender's on the newest, where others wait."""

    def __init__(
        self,
        adapter: ProtocolAdapter[M, P],
        acting: Acting[M, P],
        wire: Wire,
        observer: Observer,
        *,
        block_time_s: int,
    ) -> None:
        """Act by ``acting``, for the block after the newest, ``block_time_s`` later."""
        self._adapter = adapter
        self._acting = acting
        self._wire = wire
        self._observer = observer
        self._block_time_s = block_time_s
        self._mail: Latest[_Waiting[M, P]] = Latest(_merged)
        self._tried: tuple[BlockRef | None, frozenset[_Try]] = None, frozenset()
        """The newest block that was acted at, and who was tried there."""

    def offer(self, foreseen: Foreseen[M, P]) -> None:
        """Take a foresight, if it would bring anybody under the line."""
        if foreseen.foresight.under:
            self._mail.offer({foreseen.transaction.sender: foreseen})

    def close(self) -> None:
        """Let ``run`` finish what it has begun and end."""
        self._mail.take()
        self._mail.close()

    async def run(self) -> None:
        """Act on foresights until closed. What cannot be read now is left to the block."""
        async for waiting in self._mail:
            foreseen = waiting.pop(next(iter(waiting)))
            if waiting:
                self._mail.offer(waiting)
            try:
                await self._act_on(foreseen)
            except SKIPPED as error:
                self._observer.skipped(self._adapter.deployment, f"backrun: {error}")

    async def _act_on(self, foreseen: Foreseen[M, P]) -> None:
        pending = foreseen.transaction
        raw = await self._wire.raw(pending.hash)
        if raw is None or pending.to is None:
            return
        transaction = Transaction(
            sender=pending.sender, to=pending.to, data=pending.data, value=pending.value
        )
        lead, under = Lead(raw=raw, transaction=transaction), self._untried(foreseen)
        if not under:
            return
        left = await self._acting.follow(self._look(foreseen, under), lead)
        block = foreseen.snapshot.block
        tried = frozenset((ref, pending.sender) for ref in under)
        self._tried = block, tried | (self._tried[1] if self._tried[0] == block else frozenset())
        for one in left:
            log.info(
                BACKRUN_LEFT,
                deployment=self._adapter.deployment,
                account=one.ref.account,
                tx=pending.hash,
                reason=one.reason.value,
                detail=one.detail,
            )

    def _untried(self, foreseen: Foreseen[M, P]) -> list[AccountRef]:
        """Return whom an update would bring, but who was tried at this block before.

        Behind an update of the same sender: what others send, which may be nobody's update, keeps
        no account from being tried behind one that is.
        """
        (block, tried), sender = self._tried, foreseen.transaction.sender
        is_new = block != foreseen.snapshot.block
        return [ref for ref in foreseen.foresight.under if is_new or (ref, sender) not in tried]

    def _look(self, foreseen: Foreseen[M, P], who: Sequence[AccountRef]) -> Look[M, P]:
        """Judge whom the update would bring under the line, exactly, at its prices."""
        snapshot, prices = foreseen.snapshot, foreseen.foresight.prices
        block, held = snapshot.block, snapshot.positions
        book = Book(
            block=block,
            market=snapshot.market,
            positions=held,
            prices=prices.prices,
            problems=prices.problems,
            moved=f"pending {foreseen.transaction.hash}",
        )
        timestamp = block.timestamp + self._block_time_s
        view = self._adapter.at(
            snapshot.market, block=block.number + 1, timestamp=timestamp, prices=prices.prices
        )
        under = {ref: position for ref in who if (position := held.get(ref)) is not None}
        few = replace(book, positions=under)
        found = judge(self._adapter, view, few, timestamp=timestamp, trigger=book.moved)
        return Look(book=book, held_at=block, found=found, tick=Tick())


def _merged(waiting: _Waiting[M, P], newer: _Waiting[M, P]) -> _Waiting[M, P]:
    """Return all that wait at the newest block; what one sends does not displace another's."""
    blocks = {one.snapshot.block for one in newer.values()}
    return {key: one for key, one in waiting.items() if one.snapshot.block in blocks} | newer
