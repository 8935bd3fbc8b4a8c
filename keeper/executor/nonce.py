"""One writer of nonces for one sender, that notices when somebody else uses the key."""

import time
from collections.abc import Callable, Collection
from typing import Final, Generic, TypeVar

from keeper.core.chain import BlockRef
from keeper.core.ports import Journal, Wire
from keeper.core.units import Address

K = TypeVar("K")

UNEXPLAINED_S: Final = 10
"""Seconds of ours for which a used nonce may be without its receipt: of nodes behind one address
some lag. Not of the chain, which a keeper that was held up may follow at many blocks a second."""


class Doubts(Generic[K]):
    """Used nonces that no receipt explains yet, and since which head and when."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin without any; ``now`` is steady seconds."""
        self._now = now
        self._since: dict[K, tuple[BlockRef, float]] = {}

    def lasted(self, key: K, head: BlockRef) -> bool:
        """Return whether one is in doubt for so long that its receipt is not to come any more."""
        seen, at = self._since.setdefault(key, (head, self._now()))
        return seen.number < head.number and self._now() >= at + UNEXPLAINED_S

    def over(self, key: K) -> None:
        """Forget what is settled, or was not used after all: the next time it is seen anew."""
        self._since.pop(key, None)

    def only(self, keys: Collection[K]) -> None:
        """Forget all but some."""
        self._since = {key: since for key, since in self._since.items() if key in keys}


class NonceKeeper:
    """Hands out nonces in order. Only the executor's turn calls it."""

    def __init__(
        self,
        wire: Wire,
        sender: Address,
        *,
        highest: int | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a keeper that asks the chain before its first nonce.

        ``highest`` is the highest nonce that the journal knows of, None when it knows none.
        """
        self._wire = wire
        self.sender = sender
        self._next: int | None = None
        self._ours = 0 if highest is None else highest + 1
        """One over the highest nonce that we know to be ours."""
        self._at_start = 0
        self._used = 0
        """The chain's count when it was last known whose the nonces below it are."""
        self.doubts = Doubts[int](now)
        """Nonces that we signed with, and of which no transaction of ours has a receipt yet."""

    async def take(self, count: int, held: Collection[int]) -> list[int]:
        """Return the next nonces, in order, leaving out those that open intents hold.

        A gap below an open intent is filled first: nothing above it could land.
        """
        if self._next is None:
            # The node counts its own pending transactions; one it has not seen is in ``held``.
            self._next = await self._wire.nonce(self.sender, pending=True)
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

    def given_up(self, nonce: int) -> None:
        """Say that what was signed for ``nonce`` ended without running.

        Unless it is used by now, whoever uses it from here on need not be us.
        """
        if nonce >= self._used:
            self.released(nonce)
        else:
            self.resync()

    def resync(self) -> None:
        """Ask the chain again before the next nonce: something was dropped or refused."""
        self._next = None

    def begin(self, confirmed: int) -> None:
        """Take the chain's count ``confirmed`` before anything is sent in this run.

        When the journal knows no transaction, all before is taken for ours.
        """
        self._at_start = self._used = confirmed
        self._ours = self._ours or confirmed

    def is_of_before(self, nonce: int) -> bool:
        """Return whether a used nonce was used while no keeper ran."""
        return nonce < self._at_start

    def unaccounted(self, confirmed: int) -> range:
        """Return the nonces that are used, as the chain's count now shows, and not known as ours.

        One that was given back may be among them: see ``foreign_nonce``. They are told until they
        are accounted for: a question about them that was not answered is asked again.
        """
        return range(self._ours, confirmed)

    def accounted(self, confirmed: int) -> None:
        """Say that it is known whose the nonces below the chain's count are."""
        for nonce in self.unaccounted(confirmed):
            self.doubts.over(nonce)
        self._used = confirmed
        if confirmed > self._ours:
            self._ours = confirmed
            self.resync()


async def foreign_nonce(
    keeper: NonceKeeper, journal: Journal, wire: Wire, confirmed: int, head: BlockRef | None
) -> int | None:
    """Return a nonce below the chain's count that somebody else used, None where none is known.

    Where we signed with it too, its receipt is waited for: it may be one that was given up, and a
    node counts a transaction before it has its receipt. Without a ``head`` nothing is waited for.
    """
    is_unclear = False
    keeper.doubts.only(keeper.unaccounted(confirmed))  # a reorg may have freed the others
    for nonce in keeper.unaccounted(confirmed):
        if await is_ours(journal, wire, keeper.sender, nonce):
            continue
        signed = await journal.signed_with(keeper.sender, nonce)
        lasted = signed and head is not None and keeper.doubts.lasted(nonce, head)
        if not signed or (lasted and await is_used(wire, keeper.sender, nonce)):
            keeper.accounted(confirmed)
            return nonce
        is_unclear = True
    if is_unclear:
        keeper.resync()  # whoever used it, it is used
    else:
        keeper.accounted(confirmed)
    return None


async def is_used(wire: Wire, sender: Address, nonce: int) -> bool:
    """Return whether a nonce is used, to be asked again after receipts that there are none of.

    A reorg between the count and the receipts takes back both, and nobody else used it.
    """
    return await wire.nonce(sender, pending=False) > nonce


async def is_ours(journal: Journal, wire: Wire, sender: Address, nonce: int) -> bool:
    """Return whether any transaction of ours used a nonce, also one that was given up."""
    for tx_hash in await journal.signed_with(sender, nonce):
        if await wire.receipt(tx_hash) is not None:
            return True
    return False
