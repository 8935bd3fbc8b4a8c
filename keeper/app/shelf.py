"""What a deployment leaves for its next start: the checkpoint in the ledger, the book beside it."""

import asyncio
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from keeper.app.book_file import load_book, save_book
from keeper.app.checkpoints import CheckpointStore
from keeper.app.sight import Sight
from keeper.core.chain import BlockRef
from keeper.core.ports import ProtocolAdapter
from keeper.mirror.checkpoint import Checkpoint
from keeper.mirror.mirror import Mirror
from keeper.mirror.snapshot import Snapshot
from keeper.scanner.columns import Columns

log = structlog.get_logger()

BOOK_MISSED = "book.missed"

M = TypeVar("M")
P = TypeVar("P")


class Shelf(Generic[M, P]):
    """Keeps checkpoint and book of one deployment, and knows when the next are due."""

    def __init__(
        self,
        adapter: ProtocolAdapter[M, P],
        checkpoints: CheckpointStore,
        book_file: Path,
        *,
        every_blocks: int,
    ) -> None:
        """Keep them ``every_blocks``."""
        self._adapter = adapter
        self._checkpoints = checkpoints
        self._book_file = book_file
        self._every_blocks = every_blocks
        self._saved_at = 0

    async def resume(self, head: BlockRef, mirror: Mirror[M, P], sight: Sight[M, P]) -> bool:
        """Go on from the book on disk to ``head``, if its block is still canonical."""
        saved = load_book(self._book_file, self._adapter)
        if saved is None:
            return False
        scope = saved.known.scope
        anchor = Checkpoint(block=saved.block, hash=saved.hash, accounts=(), scope=scope)
        snapshot = await mirror.resume(head, anchor, saved.positions)
        if snapshot is None:
            return False
        sight.resume(saved.columns)
        sight.take(snapshot)
        await self._checkpoints.adopt(self._adapter.deployment, saved.known, saved.positions)
        return True

    async def checkpoint(self) -> Checkpoint | None:
        """Return the newest checkpoint, None on the first run."""
        return await self._checkpoints.load(self._adapter.deployment)

    def is_due(self, block: int) -> bool:
        """Return whether it is time to keep anew."""
        return block - self._saved_at >= self._every_blocks

    async def keep(
        self, known: Checkpoint, snapshot: Snapshot[M, P], columns: Columns | None
    ) -> None:
        """Keep a checkpoint, and the book where there is one that may outlive the run.

        A disk that does not take the book costs the next start its time, and nothing else.
        """
        name = self._adapter.deployment
        kept = await self._checkpoints.save(name, known)
        if columns is not None:
            try:
                await asyncio.to_thread(save_book, self._book_file, name, snapshot, columns, kept)
            except OSError as error:
                log.warning(BOOK_MISSED, path=str(self._book_file), why=error.strerror)
        self._saved_at = snapshot.block.number

    def forget_book(self) -> None:
        """Have the next start read every account anew: what drifted or failed must not outlive."""
        self._book_file.unlink(missing_ok=True)
