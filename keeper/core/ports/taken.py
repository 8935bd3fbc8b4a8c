"""What is asked of the journal about what others liquidate."""

from collections.abc import Collection, Sequence
from typing import Protocol

from keeper.core.lending import AccountRef
from keeper.core.taken import OurPart, Taken
from keeper.core.units import Hash32


class TakenJournal(Protocol):
    """What the journal knows of our part, and keeps of theirs."""

    async def own(self, hashes: Collection[Hash32]) -> frozenset[Hash32]:
        """Return which of the transactions we signed."""
        ...

    async def taken_before(self, deployment: str, hashes: Collection[Hash32]) -> frozenset[Hash32]:
        """Return which of the transactions are noted as others' already."""
        ...

    async def our_part(
        self, deployment: str, ref: AccountRef, *, since: int, before: int
    ) -> OurPart | None:
        """Return our newest intent of an account from head ``since`` on and before a block."""
        ...

    async def take_note(
        self, deployment: str, taken: Sequence[Taken], *, gone_from: int | None
    ) -> None:
        """Note what others liquidated; forget what was noted of a block or later ones."""
        ...
