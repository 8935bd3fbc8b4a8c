"""Fill a deployment's mirror, bring it to each head, and keep what the next start needs of it."""

from typing import Generic, TypeVar

from keeper.app.observer import Observer
from keeper.app.parity import Parity
from keeper.app.shelf import Shelf
from keeper.app.sight import Sight
from keeper.core.chain import BlockRef
from keeper.mirror.mirror import Mirror

M = TypeVar("M")
P = TypeVar("P")


class Filling(Generic[M, P]):
    """Keeps mirror and sight of one deployment at the same block."""

    def __init__(
        self,
        mirror: Mirror[M, P],
        shelf: Shelf[M, P],
        sight: Sight[M, P],
        parity: Parity[M, P],
        observer: Observer,
        *,
        name: str,
        finality_depth: int,
    ) -> None:
        """Fill the ``mirror`` of the deployment ``name``; a reorg may undo so many blocks."""
        self._mirror = mirror
        self._shelf = shelf
        self._sight = sight
        self._parity = parity
        self._observer = observer
        self._finality_depth = finality_depth
        self._name = name

    async def fill(self, head: BlockRef) -> None:
        """Go on from the book on disk, else from the newest checkpoint and the logs since."""
        mirror, sight = self._mirror, self._sight
        if self._parity.is_paused or not await self._shelf.resume(head, mirror, sight):
            anchor = await self._shelf.checkpoint()
            sight.take(await mirror.start(head, anchor, self._progress))

    async def follow(self, head: BlockRef) -> None:
        """Come to a head; read everything anew once a person has lifted a pause."""
        if self._parity.is_lifted:
            known = self._mirror.checkpoint(self._finality_depth)
            self._sight.take(await self._mirror.start(head, known, self._progress))
            self._parity.resume(self._name)  # not before: a read that fails leaves what drifted
        else:
            self._sight.take(await self._mirror.advance(head))

    async def keep(self) -> None:
        """Keep a checkpoint, and the book unless what drifted would outlive the run in it."""
        known = self._mirror.checkpoint(self._finality_depth)
        columns = None if self._parity.is_paused else self._sight.columns
        await self._shelf.keep(known, self._mirror.snapshot, columns)
        if self._parity.is_paused:  # what drifted may have been found while it was written
            self._shelf.forget_book()

    def _progress(self, what: str, done: int, of: int) -> None:
        self._observer.progressed(self._name, what, done, of)
