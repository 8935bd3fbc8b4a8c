"""The heads that a node pushed, held against those that enough nodes answer with.

One may lie in what it pushes and in no answer. What it pushes is believed until it is looked at.
"""

from collections.abc import Iterable
from typing import Final

from keeper.core.chain import BlockRef

_LASTING_S: Final = 10.0
"""How long another block may be pushed: after a reorg an answer may overtake the push."""
_LEFT_S: Final = 600.0
"""How long nothing is taken of a node that pushed otherwise."""
_KEPT: Final = 64


class Pushed:
    """What one node pushed since it was subscribed to. Times are steady seconds."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.doubt = ""
        """What it pushed otherwise than others tell, empty when nothing is held against it."""
        self._until = 0.0
        self._heads: dict[int, BlockRef] = {}
        """A chain, oldest first."""
        self._other_since: float | None = None
        self._claim: tuple[int, float] | None = None
        """The first block pushed that enough nodes have not come to yet, and when that was seen."""

    def take(self, head: BlockRef) -> None:
        """Take a head that was pushed; it undoes those that it does not follow."""
        parent = self._heads.get(head.number - 1)
        if parent is None or parent.hash != head.parent_hash:
            self._heads.clear()
        for number in [one for one in self._heads if one >= head.number]:
            del self._heads[number]
        self._heads[head.number] = head
        if len(self._heads) > _KEPT:
            del self._heads[next(iter(self._heads))]

    def judge(self, agreed: Iterable[BlockRef], reached: int, now: float) -> None:
        """Hold it against blocks that enough nodes tell alike, and the newest that they reached."""
        if self.doubt:
            self.doubt = self.doubt if now < self._until else ""
            return
        self.doubt = self._unlike(agreed, now) or self._ahead(reached, now)
        if self.doubt:
            self._until, self._other_since, self._claim = now + _LEFT_S, None, None
            self._heads.clear()

    def _unlike(self, agreed: Iterable[BlockRef], now: float) -> str:
        """Return what it has otherwise: at once of the same block, of another when that lasts."""
        for block in agreed:
            pushed = self._heads.get(block.number)
            if pushed is None:
                continue
            unlike = block.unlike(pushed)
            if not unlike:
                self._other_since = None
                continue
            if self._other_since is None:
                self._other_since = now
            if block.hash == pushed.hash or now - self._other_since > _LASTING_S:
                return f"pushed block {block.number}: {unlike}"
        return ""

    def _ahead(self, reached: int, now: float) -> str:
        newest = next(reversed(self._heads), 0)
        if newest <= reached:
            self._claim = None
        elif self._claim is None or reached >= self._claim[0]:
            self._claim = (newest, now)
        elif now - self._claim[1] > _LASTING_S:
            return f"pushed block {self._claim[0]}: found no other node beyond block {reached}"
        return ""
