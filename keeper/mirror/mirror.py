"""Keep a deployment's loans equal to the chain, block by block.

Logs only say who changed; what changed is read, pinned to the block's hash. A reorg is then:
read again what both branches touched. Nothing is replayed, so nothing drifts by rounding. State
changes only after every read of a step has succeeded, so a failed step is simply taken again.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic

from keeper.core.chain import BlockRef, Log
from keeper.core.errors import InvariantError, StaleError
from keeper.core.lending import AccountRef, Touched
from keeper.core.ports import ProtocolAdapter, Reader
from keeper.core.units import Hash32
from keeper.mirror.history import DEPTH_BLOCKS, History, begin, union
from keeper.mirror.snapshot import M, P, Snapshot

READ_CHUNK = 500
"""Accounts read between two reports of progress."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A block up to which ``accounts`` names every account that may owe something."""

    block: int
    hash: Hash32
    accounts: frozenset[AccountRef]


class Mirror(Generic[M, P]):
    """The loans of one deployment. One writer: the loop that calls ``start`` and ``advance``."""

    def __init__(self, adapter: ProtocolAdapter[M, P], reader: Reader) -> None:
        """Make an empty mirror; ``start`` fills it."""
        self._adapter = adapter
        self._reader = reader
        self._anchor: Checkpoint | None = None
        self._seen: frozenset[AccountRef] = frozenset()
        self._history: History | None = None
        self._snapshot: Snapshot[M, P] | None = None

    @property
    def snapshot(self) -> Snapshot[M, P]:
        """Return the newest snapshot; raise InvariantError before ``start``."""
        if self._snapshot is None:
            msg = "mirror read before it was started"
            raise InvariantError(msg)
        return self._snapshot

    async def start(
        self, head: BlockRef, anchor: Checkpoint | None, progress: Progress
    ) -> Snapshot[M, P]:
        """Fill the mirror at ``head``, from a checkpoint when it is still canonical."""
        if anchor is not None and not await self._canonical(anchor, head):
            anchor = None
        known = anchor.accounts if anchor else frozenset()
        since = anchor.block + 1 if anchor else self._adapter.start_block
        market = await self._adapter.read_market(self._reader, head, None, None)
        seen = known | await self._discover(market, since, head.number, progress)
        positions = await self._read(head, market, sorted(seen), progress)
        self._anchor, self._seen, self._history = anchor, seen, begin(head)
        return self._publish(head, market, positions)

    async def advance(self, head: BlockRef) -> Snapshot[M, P]:
        """Bring the mirror to ``head``: a child, a later block, an earlier one, or a branch."""
        if head.hash == self.snapshot.block.hash:
            return self.snapshot
        branch = await self._branch_to(head)
        if branch is None:
            return await self.start(head, self._wider_anchor(), _silent)
        fork = branch[0].parent_hash if branch else head.hash
        kept, undone = self._passed.cut_after(fork)
        done = self._adapter.touched(self.snapshot.market, await self._logs(branch))
        snapshot = await self._reread(head, union((undone, done)))
        self._history = kept.extended(branch, done)
        self._seen |= done.accounts
        return snapshot

    def checkpoint(self, depth: int) -> Checkpoint:
        """Return a checkpoint ``depth`` blocks back: its accounts may be more than need be."""
        step = self._passed.at_or_before(self.snapshot.block.number - depth)
        return Checkpoint(block=step.number, hash=step.hash, accounts=self._seen)

    @property
    def _passed(self) -> History:
        if self._history is None:
            msg = "mirror advanced before it was started"
            raise InvariantError(msg)
        return self._history

    def _wider_anchor(self) -> Checkpoint | None:
        """Return the anchor with all accounts seen since, for a start within this process."""
        if self._anchor is None:
            return None
        anchor = self._anchor
        return Checkpoint(block=anchor.block, hash=anchor.hash, accounts=self._seen)

    async def _canonical(self, anchor: Checkpoint, head: BlockRef) -> bool:
        """Return whether the checkpoint's block is an ancestor of ``head``."""
        if anchor.block > head.number:
            return False
        return (await self._reader.block(anchor.block)).hash == anchor.hash

    async def _discover(
        self, market: M, since: int, until: int, progress: Progress
    ) -> frozenset[AccountRef]:
        """Return every account that the logs of a range name as a borrower."""
        if since > until:
            return frozenset()
        progress("reading logs", 0, until - since + 1)
        wanted = self._adapter.discovery_filter(market)
        logs = await self._reader.logs_between(wanted, since, until)
        progress("reading logs", until - since + 1, until - since + 1)
        return self._adapter.touched(market, logs).accounts

    async def _reread(self, head: BlockRef, touched: Touched) -> Snapshot[M, P]:
        """Read again what was touched, and publish."""
        before = self.snapshot
        market = await self._adapter.read_market(self._reader, head, before.market, touched)
        fresh = await self._read(head, market, sorted(touched.accounts), _silent)
        positions = {r: p for r, p in before.positions.items() if r not in touched.accounts}
        return self._publish(head, market, positions | fresh)

    async def _read(
        self, head: BlockRef, market: M, refs: Sequence[AccountRef], progress: Progress
    ) -> dict[AccountRef, P]:
        """Read positions in chunks and keep those that owe something."""
        held: dict[AccountRef, P] = {}
        for first in range(0, len(refs), READ_CHUNK):
            chunk = refs[first : first + READ_CHUNK]
            read = await self._adapter.read_positions(self._reader, head, market, chunk)
            held.update((r, p) for r, p in read.items() if self._adapter.has_debt(market, p))
            progress("reading positions", first + len(chunk), len(refs))
        return held

    async def _branch_to(self, head: BlockRef) -> list[BlockRef] | None:
        """Return the blocks from the newest passed ancestor of ``head`` up to it, oldest first.

        Empty when ``head`` itself was passed before; None when the ancestor is forgotten.
        """
        if self._passed.knows(head.hash):
            return []
        branch = [head]
        while not self._passed.knows(branch[-1].parent_hash):
            number = branch[-1].number - 1
            if len(branch) >= DEPTH_BLOCKS or not self._passed.reaches(number):
                return None
            branch.append(await self._reader.block(number))
            _require_chained(branch[-1], branch[-2])
        return branch[::-1]

    async def _logs(self, branch: Iterable[BlockRef]) -> list[Log]:
        """Read the logs of each block of a branch, by hash."""
        wanted = self._adapter.log_filter(self.snapshot.market)
        logs: list[Log] = []
        for block in branch:
            logs.extend(await self._reader.logs_at(wanted, block))
        return logs

    def _publish(self, head: BlockRef, market: M, positions: dict[AccountRef, P]) -> Snapshot[M, P]:
        self._snapshot = Snapshot(block=head, market=market, positions=positions)
        return self._snapshot


def _silent(_what: str, _done: int, _of: int) -> None:
    """Report nothing."""


def _require_chained(parent: BlockRef, child: BlockRef) -> None:
    """Raise StaleError when the node changed branch while it was being walked."""
    if parent.hash != child.parent_hash:
        msg = f"block {parent.number}: expected hash {child.parent_hash}, found {parent.hash}"
        raise StaleError(msg)
