"""The blocks that the mirror passed, and what each of them touched.

A reorg is undone by reading again what the abandoned blocks touched, so that is all that is kept.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.lending import Touched
from keeper.core.units import Hash32

NOTHING = Touched(accounts=frozenset())

DEPTH_BLOCKS = 256
"""Blocks that are remembered; a deeper reorg reads everything again."""


class Step(Struct, frozen=True, kw_only=True):
    """One passed block."""

    number: int
    hash: Hash32
    touched: Touched


class History(Struct, frozen=True, kw_only=True):
    """Passed blocks, oldest first, each the parent of the next or an ancestor of it."""

    steps: tuple[Step, ...]

    def knows(self, block_hash: Hash32) -> bool:
        """Return whether the block was passed and is still remembered."""
        return any(step.hash == block_hash for step in self.steps)

    def reaches(self, number: int) -> bool:
        """Return whether blocks at ``number`` are still remembered."""
        return number >= self.steps[0].number

    def cut_after(self, block_hash: Hash32) -> "tuple[History, Touched]":
        """Forget what came after a known block; return the rest and what was forgotten."""
        keep = next(i for i, step in enumerate(self.steps) if step.hash == block_hash) + 1
        forgotten = union(step.touched for step in self.steps[keep:])
        return History(steps=self.steps[:keep]), forgotten

    def extended(self, branch: Sequence[BlockRef], touched: Touched, *, depth: int) -> "History":
        """Append a branch whose blocks together touched ``touched``; keep ``depth`` blocks."""
        new = tuple(Step(number=b.number, hash=b.hash, touched=touched) for b in branch)
        return History(steps=(*self.steps, *new)[-depth:])

    def at_or_before(self, number: int) -> Step:
        """Return the newest remembered step not above ``number``, else the oldest."""
        below = [step for step in self.steps if step.number <= number]
        return below[-1] if below else self.steps[0]


def begin(block: BlockRef) -> History:
    """Return the history of a mirror that was just read whole at ``block``."""
    return History(steps=(Step(number=block.number, hash=block.hash, touched=NOTHING),))


def union(parts: Iterable[Touched]) -> Touched:
    """Return all that any of the parts touched."""
    accounts, names, structure = set(NOTHING.accounts), set(NOTHING.parts), False
    for part in parts:
        accounts |= part.accounts
        names |= part.parts
        structure = structure or part.structure
    return Touched(accounts=frozenset(accounts), parts=frozenset(names), structure=structure)
