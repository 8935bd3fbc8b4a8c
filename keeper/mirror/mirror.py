"""Keep a deployment's loans equal to the chain, block by block.

Logs only say who changed; what changed is read, pinned to the block's hash. A reorg is then:
read again what both branches touched. Nothing is replayed, so nothing drifts by rounding. State
changes only after every read of a step has succeeded, so a failed step is simply taken again.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final, Generic

from keeper.core.chain import BlockRef, Log
from keeper.core.errors import ConfigError, InvariantError, StaleError
from keeper.core.lending import AccountRef, Touched
from keeper.core.ports import ProtocolAdapter, Reader
from keeper.core.screening import Discovering
from keeper.core.values import replace
from keeper.mirror.checkpoint import Checkpoint, is_canonical, serves
from keeper.mirror.history import DEPTH_BLOCKS, NOTHING, History, begin, union
from keeper.mirror.known import Known, inside, outside, scope_of
from keeper.mirror.positions import Positions, no_positions
from keeper.mirror.sieve import LogSieve
from keeper.mirror.snapshot import M, P, Snapshot
from keeper.runtime.parallel import each

READ_CHUNK = 500
"""Accounts read between two reports of progress."""

_UNSURE: Final = 16
"""Newest blocks whose logs a range may lack, or have of another branch: where many nodes stand
behind one address, that which tells the range need not be that which told the head."""
_AT_ONCE: Final = 8

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


class Mirror(Generic[M, P]):
    """The loans of one deployment. One writer: the loop that calls ``start`` and ``advance``."""

    def __init__(
        self,
        adapter: ProtocolAdapter[M, P],
        reader: Reader,
        *,
        depth_blocks: int = DEPTH_BLOCKS,
    ) -> None:
        """Make an empty mirror; ``start`` fills it. It remembers ``depth_blocks`` blocks."""
        self._adapter = adapter
        self._reader = reader
        self._depth = depth_blocks
        self._anchor: Checkpoint | None = None
        self._known = Known.of((), no_positions(adapter))
        self._history: History | None = None
        self._snapshot: Snapshot[M, P] | None = None
        self._sieve = LogSieve()

    @property
    def is_read(self) -> bool:
        """Return whether it was filled once."""
        return self._snapshot is not None

    @property
    def snapshot(self) -> Snapshot[M, P]:
        """Return the newest snapshot; raise InvariantError before ``start``."""
        if self._snapshot is None:
            msg = "mirror read before it was started"
            raise InvariantError(msg)
        return self._snapshot

    @property
    def known(self) -> Known:
        """Return every account that ever owed something, as far as is known."""
        return self._known

    async def start(
        self, head: BlockRef, anchor: Checkpoint | None, progress: Progress
    ) -> Snapshot[M, P]:
        """Fill the mirror at ``head``, from a checkpoint when it is still canonical.

        And when accounts were looked for wherever they are now. Raises ConfigError when the
        deployment is said to begin after ``head``.
        """
        self._require_begun(head)
        market = await self._adapter.read_market(self._reader, head, None, None)
        if anchor is not None and not await serves(
            anchor, self._adapter, self._reader, head, market
        ):
            anchor = None
        known = inside(scope_of(self._adapter, market), anchor.accounts if anchor else ())
        since = anchor.block + 1 if anchor else self._adapter.start_block
        seen = known | await self._discover(market, since, head.number, progress)
        market, late, _ = await self._lately(head, since, market)
        seen |= late.accounts
        positions = await self._read(head, market, seen, progress, no_positions(self._adapter))
        self._anchor = replace(anchor, accounts=()) if anchor else None
        self._known, self._history = Known.of(seen, positions), begin(head)
        return self._publish(head, market, positions, None)

    async def resume(
        self, head: BlockRef, anchor: Checkpoint, positions: Positions[P]
    ) -> Snapshot[M, P] | None:
        """Fill the mirror at ``head`` from positions as they were at a checkpoint's block.

        Only what logs since then touched is read; the snapshot names it. None when the block is
        not an ancestor of ``head``, the market changed shape since, or accounts are looked for
        where they were not.
        """
        market = await self._adapter.read_market(self._reader, head, None, None)
        if not await serves(anchor, self._adapter, self._reader, head, market):
            return None
        since, wanted = anchor.block + 1, self._adapter.log_filter(market)
        logs = await self._reader.logs_between(wanted, since, head.number)
        market, late, newest = await self._lately(head, since, market)
        logs = [one for one in logs if one.block_number <= head.number - _UNSURE] + newest
        touched = union((self._adapter.touched(market, logs), late))
        if touched.structure:
            return None
        left = outside(scope_of(self._adapter, market), positions, anchor.scope)
        changed = touched.accounts | left
        held = await self._read(head, market, changed, _silent, positions)
        self._anchor, self._history = None, begin(head)
        self._known = Known.of(changed, held)
        return self._publish(head, market, held, changed, logs=logs)

    async def advance(self, head: BlockRef) -> Snapshot[M, P]:
        """Bring the mirror to ``head``: a child, a later block, an earlier one, or a branch."""
        if head.hash == self.snapshot.block.hash:
            return self.snapshot
        branch = await self._branch_to(head)
        if branch is None:
            return await self.start(head, await self._surviving_anchor(head), _silent)
        fork = branch[0].parent_hash if branch else head.hash
        kept, undone = self._passed.cut_after(fork)
        market, done, logs = await self._changes(head, branch, self.snapshot.market, undone)
        changed = undone.accounts | done.accounts
        positions = await self._read(head, market, changed, _silent, self.snapshot.positions)
        self._history = kept.extended(branch, done, depth=self._depth)
        self._known = self._known.after(changed, positions)
        since = branch[0].number if branch else head.number + 1
        return self._publish(head, market, positions, changed, since=since, logs=logs)

    def checkpoint(self, depth: int) -> Checkpoint:
        """Return a checkpoint ``depth`` blocks back: its accounts may be more than need be."""
        step = self._passed.at_or_before(self.snapshot.block.number - depth)
        scope = scope_of(self._adapter, self.snapshot.market)
        return Checkpoint(block=step.number, hash=step.hash, accounts=self._known, scope=scope)

    @property
    def _passed(self) -> History:
        if self._history is None:
            msg = "mirror advanced before it was started"
            raise InvariantError(msg)
        return self._history

    def _require_begun(self, head: BlockRef) -> None:
        """Raise ConfigError unless there are blocks to read: none would look like no loans."""
        first = self._adapter.start_block
        if first > head.number:
            expected = f"expected a block up to {head.number}, which is looked at"
            raise ConfigError(f"{self._adapter.deployment}: start_block: {expected}, found {first}")

    async def _surviving_anchor(self, head: BlockRef) -> Checkpoint | None:
        """Return a block of ours that is an ancestor of ``head``, with all accounts seen since.

        After a long silence that is the oldest block remembered; after a deep reorg perhaps the
        checkpoint of the start.
        """
        newest = self.checkpoint(self._depth)
        for anchor in (newest, self._anchor):
            if anchor is not None and await is_canonical(anchor, self._reader, head):
                return replace(newest, block=anchor.block, hash=anchor.hash)
        return None

    async def _discover(
        self, market: M, since: int, until: int, progress: Progress
    ) -> frozenset[AccountRef]:
        """Return every account that the logs of a range name as a borrower."""
        if since > until:
            return frozenset()
        blocks = until - since + 1
        progress("reading logs", 0, blocks)
        wanted = self._adapter.discovery_filter(market)
        if isinstance(self._adapter, Discovering):

            def done(last: int, _until: int, _logs: int) -> None:
                progress("reading logs", last - since + 1, blocks)

            columns = await self._reader.log_columns(wanted, since, until, done)
            return self._adapter.borrowers(market, columns)
        logs = await self._reader.logs_between(wanted, since, until)
        progress("reading logs", blocks, blocks)
        return self._adapter.touched(market, logs).accounts

    async def _changes(
        self, head: BlockRef, branch: Sequence[BlockRef], before: M, undone: Touched = NOTHING
    ) -> tuple[M, Touched, list[Log]]:
        """Return the market at ``head``, what the branch touched, and what it logged."""
        adapter = self._adapter
        logs = await self._logs_of(branch, before)
        done = adapter.touched(before, logs)
        market = await adapter.read_market(self._reader, head, before, union((undone, done)))
        if adapter.log_filter(market) != adapter.log_filter(before):
            # A contract listed in the branch may have emitted in it too, unwatched until now.
            logs = await self._logs_of(branch, market)
        # Nor were the accounts of a market known that began in the branch.
        return market, union((done, adapter.touched(market, logs))), logs

    async def _read(
        self,
        head: BlockRef,
        market: M,
        wanted: frozenset[AccountRef],
        progress: Progress,
        onto: Positions[P],
    ) -> Positions[P]:
        """Read positions in chunks; return ``onto`` with those that owe something."""
        refs = sorted(wanted)
        for first in range(0, len(refs), READ_CHUNK):
            chunk = refs[first : first + READ_CHUNK]
            read = await self._adapter.read_positions(self._reader, head, market, chunk)
            onto = onto.with_changes(
                {r: p if self._adapter.has_debt(market, p) else None for r, p in read.items()}
            )
            progress("reading positions", first + len(chunk), len(refs))
        return onto

    async def _branch_to(self, head: BlockRef) -> list[BlockRef] | None:
        """Return the blocks from the newest passed ancestor of ``head`` up to it, oldest first.

        Empty when ``head`` itself was passed before; None when the ancestor is forgotten.
        """
        if self._passed.knows(head.hash):
            return []
        branch = [head]
        while not self._passed.knows(branch[-1].parent_hash):
            number = branch[-1].number - 1
            if len(branch) >= self._depth or not self._passed.reaches(number):
                return None
            branch.append(await self._reader.block(number))
            _require_chained(branch[-1], branch[-2])
        return branch[::-1]

    async def _lately(self, head: BlockRef, since: int, market: M) -> tuple[M, Touched, list[Log]]:
        """Return the market, and what the newest blocks from ``since`` on touched and logged."""
        if since > head.number:
            return market, NOTHING, []
        numbers = range(max(since, head.number - _UNSURE + 1), head.number)
        branch = [*await each(numbers, self._reader.block, at_once=_AT_ONCE), head]
        for parent, child in pairwise(branch):
            _require_chained(parent, child)
        return await self._changes(head, branch, market)

    async def _logs_of(self, branch: Iterable[BlockRef], market: M) -> list[Log]:
        """Read the logs of each block of a branch, by hash."""
        wanted = self._adapter.log_filter(market)
        logs: list[Log] = []
        for block in branch:
            if not self._sieve.excludes(block, wanted):
                found = await self._reader.logs_at(wanted, block)
                self._sieve.learn(block, found)
                logs.extend(found)
        return logs

    def _publish(
        self,
        head: BlockRef,
        market: M,
        positions: Positions[P],
        changed: frozenset[AccountRef] | None,
        *,
        since: int | None = None,
        logs: Sequence[Log] = (),
    ) -> Snapshot[M, P]:
        self._snapshot = Snapshot(
            block=head,
            market=market,
            positions=positions,
            changed=changed,
            since=since,
            logs=tuple(logs),
        )
        return self._snapshot


def _silent(_what: str, _done: int, _of: int) -> None:
    """Report nothing."""


def _require_chained(parent: BlockRef, child: BlockRef) -> None:
    """Raise StaleError when the node changed branch while it was being walked."""
    if parent.hash != child.parent_hash:
        msg = f"block {parent.number}: expected hash {child.parent_hash}, found {parent.hash}"
        raise StaleError(msg)
