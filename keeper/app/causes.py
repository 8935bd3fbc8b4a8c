"""What may have brought accounts under the line since the last look, in words."""

from keeper.core.chain import BlockRef


class Causes:
    """Remembers the last move of a price: interest acts upon what that left."""

    def __init__(self) -> None:
        self._looked = False
        self.last_move = ""
        """Empty when no price has moved yet."""

    def of(self, block: BlockRef, moved: str) -> str:
        """Return the cause of what a look at a block finds, given the feeds that moved."""
        first, self._looked = not self._looked, True
        if moved:
            self.last_move = moved_in(block, moved)
            return self.last_move
        if first:
            return "first look"
        return f"interest, after {self.last_move}" if self.last_move else "interest"


def moved_in(block: BlockRef, moved: str) -> str:
    """Return the words for feeds that moved in a block."""
    return f"{moved} in block {block.number}"
