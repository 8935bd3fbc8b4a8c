"""What others liquidate, and why it was not ours: found in the logs that a head brings anyway.

A transaction of somebody else that liquidates is read once more by its receipt, valued at the
prices of its block, and held against what we had done about the account. This waits until whoever
is under the line now has been dealt with. What happened while the keeper was down comes in the logs
from which a mirror is resumed, and waits longest: a few transactions are read with each head.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final, Generic, TypeVar

from keeper.app.books import Appraiser
from keeper.app.hindsight import Ours, Scene, ended_as, told
from keeper.app.observer import Observer
from keeper.app.sight import Look
from keeper.app.skipping import SKIPPED
from keeper.core.chain import BlockRef, Log, Receipt
from keeper.core.errors import StaleError
from keeper.core.lending import AccountRef, Liquidation, Rejection, Valuation
from keeper.core.ports import ProtocolAdapter, Reader, TakenJournal, Wire
from keeper.core.taken import OurPart, Shown, Taken
from keeper.core.units import Hash32
from keeper.core.values import replace
from keeper.executor.dividing import equal_parts
from keeper.mirror.snapshot import Snapshot

M = TypeVar("M")
P = TypeVar("P")

_TRIES: Final = 5
"""How many heads a transaction is asked for whose reads fail."""
_AT_ONCE: Final = 4
"""Transactions from before the start that are read with one head."""
_LONGEST_S: Final = 0.1
"""After so long the others are left to later heads: the next one waits until this one is done."""


@dataclass(slots=True, kw_only=True)
class _Heard:
    """A transaction that liquidated, and what was known of its accounts before."""

    tx_hash: Hash32
    block: int
    since: Mapping[AccountRef, int]
    """The head at which who is under the line was first found there."""
    left: Mapping[AccountRef, Rejection]
    """Why who was left alone was."""
    shown: Mapping[AccountRef, Shown]
    """What had been shown of whom: it is shown anew, and no book has the earlier one then."""
    looked: int | None
    """The newest head by then at which everybody was looked at."""
    away: bool = False
    """Whether it was before the start."""
    moved: str | None = None
    """The last move of a price by then, in words; None while nobody said."""
    tries: int = 0

    @property
    def may_be_told(self) -> bool:
        """Whether a node may tell its block's state yet: not of an old one, and not for ever."""
        return not self.away and self.tries + 1 < _TRIES


class Rivals(Generic[M, P]):
    """Notes what others liquidate of one deployment."""

    def __init__(  # noqa: PLR0913 - the four that it works with, and by keyword the rest
        self,
        adapter: ProtocolAdapter[M, P],
        appraiser: Appraiser[M, P],
        journal: TakenJournal,
        observer: Observer,
        *,
        told: Mapping[AccountRef, Rejection],
        shown: Mapping[AccountRef, Shown],
        reader: Reader,
        wire: Wire,
        now: Callable[[], float],
    ) -> None:
        """Begin with nothing known of who is under the line.

        ``told`` has the newest reason of each account that was left alone, as it changes, ``shown``
        the newest plan that was only shown; ``now`` is in seconds and never goes back.
        """
        self._now = now
        self._adapter = adapter
        self._appraiser = appraiser
        self._journal = journal
        self._observer = observer
        self._told = told
        self._shown = shown
        self._reader = reader
        self._wire = wire
        self._under: dict[AccountRef, int] = {}
        self._looked: int | None = None
        self._waiting: list[_Heard] = []
        self._missed: list[_Heard] = []
        """What happened before the start, oldest first."""
        self._heard: Hash32 | None = None
        self._gone: int | None = None
        """The first block whose notes are of a branch that is gone, None when none are."""
        self._noted = -1

    def looked(self, look: Look[M, P]) -> None:
        """Remember since when who is under the line has been; a whole look tells who is no more."""
        found, block = look.found, look.book.block.number
        refs = [one.ref for one in found.opportunities] + [one.ref for one in found.rejections]
        under = {ref: self._under.get(ref, block) for ref in refs}
        self._under = under if look.of_all else {**self._under, **under}
        self._looked = block if look.of_all else self._looked

    def hear(self, snapshot: Snapshot[M, P]) -> None:
        """Take the liquidations that a head brought, before that head is looked at."""
        if snapshot.block.hash == self._heard:
            return
        self._heard = snapshot.block.hash
        since = snapshot.since
        if since is not None:  # whatever is of these blocks is heard again, if it still is there
            self._waiting = [one for one in self._waiting if one.block < since]
            self._missed = [one for one in self._missed if one.block < since]
            if since <= self._noted:
                self._gone = since if self._gone is None else min(self._gone, since)
        if snapshot.logs and since is None:
            self._missed = self._transactions(snapshot, away=True)
        elif snapshot.logs:
            self._waiting += self._transactions(snapshot, away=False)

    def _transactions(self, snapshot: Snapshot[M, P], *, away: bool) -> list[_Heard]:
        """Return the transactions that liquidated, with what is known of who they liquidated."""
        found: dict[tuple[Hash32, int], set[AccountRef]] = {}
        for logs in _by_transaction(snapshot.logs):
            for one in self._adapter.decode(snapshot.market, logs):
                found.setdefault((one.tx_hash, one.log.block_number), set()).add(one.ref)
        return [
            _Heard(
                tx_hash=tx_hash,
                block=block,
                since={r: self._under[r] for r in refs if self._under.get(r, block) < block},
                left={r: self._told[r] for r in refs if r in self._told},
                shown={r: self._shown[r] for r in refs if r in self._shown},
                looked=self._looked,
                away=away,
            )
            for (tx_hash, block), refs in found.items()
        ]

    async def note(self, snapshot: Snapshot[M, P], moved: str) -> None:
        """Put what was heard into the books; what cannot be read now is read at a later head.

        ``snapshot`` is the newest one, ``moved`` the last move of a price, in words.
        """
        waiting, self._waiting = self._waiting + self._missed[:_AT_ONCE], []
        self._missed = self._missed[_AT_ONCE:]
        gone, self._gone = self._gone, None
        if not waiting and gone is None:
            return
        for one in waiting:
            one.moved = moved if one.moved is None else one.moved
        known = await self._known(waiting)
        others = [one for one in waiting if one.tx_hash not in known]
        taken = await self._read_some(others, snapshot)
        if taken or gone is not None:
            await self._journal.take_note(self._adapter.deployment, taken, gone_from=gone)
        self._noted = max((self._noted, *(found.block for found in taken)))
        for found in taken:
            self._observer.taken(found)

    async def _read_some(self, others: Sequence[_Heard], snapshot: Snapshot[M, P]) -> list[Taken]:
        """Return the liquidations of at least one transaction; those that take too long wait."""
        taken, began = list[Taken](), self._now()
        for number, one in enumerate(others):
            if number and self._now() - began > _LONGEST_S:
                self._waiting += others[number:]
                break
            taken += await self._read(one, snapshot)
        return taken

    async def _known(self, waiting: Sequence[_Heard]) -> frozenset[Hash32]:
        """Return which transactions are ours, or were noted before the keeper went down."""
        own = await self._journal.own([one.tx_hash for one in waiting])
        missed = [one.tx_hash for one in waiting if one.away]
        return own | await self._journal.taken_before(self._adapter.deployment, missed)

    async def _read(self, heard: _Heard, snapshot: Snapshot[M, P]) -> list[Taken]:
        """Return the liquidations of a transaction; none when it is gone or cannot be read now."""
        try:
            receipt = await self._wire.receipt(heard.tx_hash)
            if receipt is None:  # not yet, or a reorg took it: then its block is heard of as gone
                msg = f"expected a receipt in block {heard.block}, found none"
                raise StaleError(msg)
            if receipt.block_number != heard.block:
                return []
            block = await self._reader.block(receipt.block_number)
            if block.hash != receipt.block_hash:
                msg = f"block {block.number}: expected {receipt.block_hash}, found {block.hash}"
                raise StaleError(msg)
            scene = Scene(receipt=receipt, block=block, moved=heard.moved or "")
            market = await self._market_at(heard, block, snapshot, receipt.logs)
            return await self._judged(heard, scene, self._adapter.decode(market, receipt.logs))
        except SKIPPED as error:
            heard.tries += 1
            if heard.tries < _TRIES:
                self._waiting.append(heard)
            else:
                self._observer.skipped(self._adapter.deployment, f"{heard.tx_hash}: {error}")
            return []

    async def _market_at(
        self, heard: _Heard, block: BlockRef, snapshot: Snapshot[M, P], logs: Sequence[Log]
    ) -> M:
        """Return the market as of a block, in what the logs of a transaction touched of it.

        Who keeps receipts for collateral has what they were worth then, not what they are now.
        Where the node has no state of the block any more it is the newest.
        """
        if block.hash == snapshot.block.hash:
            return snapshot.market
        touched = self._adapter.touched(snapshot.market, logs)
        try:
            return await self._adapter.read_market(self._reader, block, snapshot.market, touched)
        except StaleError:
            if heard.may_be_told:
                raise
            return snapshot.market

    async def _judged(
        self, heard: _Heard, scene: Scene, liquidations: Sequence[Liquidation]
    ) -> list[Taken]:
        found, deployment = [], self._adapter.deployment
        shares = equal_parts(scene.gas, max(len(liquidations), 1))
        for one, gas in zip(liquidations, shares, strict=False):
            ours = await self._ours(heard, one.ref, scene.receipt)
            valuation = await self._valuation(heard, scene.block, one.ref)
            found.append(told(deployment, one, scene, ours, gas=gas, valuation=valuation))
        return found

    async def _ours(self, heard: _Heard, ref: AccountRef, theirs: Receipt) -> Ours:
        """Return what we had done about an account; what was done at other times is not it."""
        since, left = heard.since.get(ref), heard.left.get(ref)
        first = heard.block - 1 if since is None else since
        part = await self._journal.our_part(
            self._adapter.deployment, ref, since=first, before=heard.block
        )
        shown = heard.shown.get(ref)
        if part is not None:
            part = await self._as_of(part, theirs)
        elif shown is not None and shown.head >= first:
            part = shown.part
        stands = left is not None and since is not None and left.block >= since
        left = left if stands else None
        return Ours(since=since, left=left, part=part, looked=heard.looked, away=heard.away)

    async def _as_of(self, part: OurPart, theirs: Receipt) -> OurPart:
        """Return our part as it stood when theirs came: ours may have ended in no book yet."""
        for one in part.attempts:
            found = await self._wire.receipt(one.tx_hash)
            if found is not None and _place(found) < _place(theirs):
                status = ended_as(one, found)
                return replace(part, status=status, target_block=None, priority_fee=None)
        return part

    async def _valuation(self, heard: _Heard, block: BlockRef, ref: AccountRef) -> Valuation | None:
        """Return the prices of the block, None where the market's cannot be told in coin.

        Raises StaleError where a node may tell them yet.
        """
        try:
            return await self._appraiser.at_block(block, ref)
        except StaleError:
            if heard.may_be_told:
                raise
            return None


def _place(receipt: Receipt) -> tuple[int, int]:
    return receipt.block_number, receipt.index


def _by_transaction(logs: Sequence[Log]) -> Iterator[Sequence[Log]]:
    """Yield the logs of each transaction, in which alone one tells of another."""
    for _, found in groupby(logs, key=attrgetter("tx_hash")):
        yield list(found)
