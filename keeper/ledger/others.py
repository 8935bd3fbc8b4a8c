"""What others liquidated, and what we had done about it: beside the journal, in its database."""

import sqlite3
from collections.abc import Collection, Sequence

from keeper.core.lending import AccountRef
from keeper.core.taken import OurPart, Taken
from keeper.core.units import Hash32
from keeper.ledger.taken import note_taken, select_noted, select_our_part, select_own
from keeper.ledger.writer import Writer
from keeper.runtime.clock import Clock


class OthersJournal:
    """Implements ``core.ports.TakenJournal`` in the thread that writes the journal.

    Each method raises InvariantError once the disk has failed.
    """

    def __init__(self, writer: Writer, clock: Clock) -> None:
        """Write by a journal's writer."""
        self._writer = writer
        self._clock = clock

    async def own(self, hashes: Collection[Hash32]) -> frozenset[Hash32]:
        """Return which of the transactions we signed."""
        return await self._writer.run("our transactions", lambda db: select_own(db, hashes))

    async def taken_before(self, deployment: str, hashes: Collection[Hash32]) -> frozenset[Hash32]:
        """Return which of the transactions are noted as others' already."""
        return await self._writer.run(
            "others' transactions", lambda db: select_noted(db, deployment, hashes)
        )

    async def our_part(
        self, deployment: str, ref: AccountRef, *, since: int, before: int
    ) -> OurPart | None:
        """Return our newest intent of an account from head ``since`` on and before a block."""
        return await self._writer.run(
            f"our part in {ref.account}",
            lambda db: select_our_part(db, deployment, ref, since=since, before=before),
        )

    async def take_note(
        self, deployment: str, taken: Sequence[Taken], *, gone_from: int | None
    ) -> None:
        """Note what others liquidated; forget what was noted of a block or later ones."""
        now = int(self._clock.now())

        def work(db: sqlite3.Connection) -> None:
            note_taken(db, deployment, taken, gone_from=gone_from, now=now)

        await self._writer.run(f"what others liquidated of {deployment}", work)
