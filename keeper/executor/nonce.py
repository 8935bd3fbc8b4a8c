"""One writer of nonces for one sender, that notices when somebody else uses the key."""

from collections.abc import Collection

from keeper.core.ports import Journal, Wire
from keeper.core.units import Address


class NonceKeeper:
    """Hands out nonces in order. Only the executor's turn calls it."""

    def __init__(self, wire: Wire, sender: Address, *, highest: int | None = None) -> None:
        """Make a keeper that asks the chain before its first nonce.

        ``highest`` is the highest nonce that the journal knows of, None when it knows none.
        """
        self._wire = wire
        self._sender = sender
        self._next: int | None = None
        self._ours = 0 if highest is None else highest + 1
        """One over the highest nonce that we know to be ours."""

    async def take(self, count: int, held: Collection[int]) -> list[int]:
        """Return the next nonces, in order, leaving out those that open intents hold.

        A gap below an open intent is filled first: nothing above it could land.
        """
        if self._next is None:
            # The node counts its own pending transactions; one it has not seen is in ``held``.
            self._next = await self._wire.nonce(self._sender, pending=True)
        found: list[int] = []
        nonce = self._next
        while len(found) < count:
            if nonce not in held:
                found.append(nonce)
            nonce += 1
        return found

    def upcoming(self, held: Collection[int]) -> int | None:
        """Return the nonce that ``take`` would give next, None when the chain must be asked."""
        nonce = self._next
        while nonce is not None and nonce in held:
            nonce += 1
        return nonce

    def used(self, nonce: int) -> None:
        """Say that ``nonce`` was signed with, and may go out."""
        self._next = nonce + 1
        self._ours = max(self._ours, nonce + 1)

    def released(self, nonce: int) -> None:
        """Say that ``nonce`` was definitely refused: it is free, and may be next again."""
        if self._ours == nonce + 1:
            self._ours = nonce
        self.resync()

    def resync(self) -> None:
        """Ask the chain again before the next nonce: something was dropped or refused."""
        self._next = None

    def begin(self, confirmed: int) -> int | None:
        """Take the chain's count ``confirmed`` before anything is sent in this run.

        Return a nonce that was used by somebody else while no keeper ran, None when there is none
        that we could know of: when the journal knows no transaction, all before is taken for ours.
        """
        known, self._ours = self._ours, max(self._ours, confirmed)
        return confirmed - 1 if 0 < known < confirmed else None

    def unaccounted(self, confirmed: int) -> range:
        """Return the nonces that are used, as the chain's count now shows, and not known as ours.

        One that was given back may be among them: see ``is_ours``. They are told until they are
        accounted for: a question about them that was not answered is asked again.
        """
        return range(self._ours, confirmed)

    def accounted(self, confirmed: int) -> None:
        """Say that it is known whose the nonces below the chain's count are."""
        if confirmed > self._ours:
            self._ours = confirmed
            self.resync()


async def is_ours(journal: Journal, wire: Wire, sender: Address, nonce: int) -> bool:
    """Return whether any transaction of ours used a nonce, also one that was given up."""
    for tx_hash in await journal.signed_with(sender, nonce):
        if await wire.receipt(tx_hash) is not None:
            return True
    return False
