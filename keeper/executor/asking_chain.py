"""Which chain it is, asked with the first questions of a head: before there is what to sign.

A node may answer it only after a simulation that is asked for later, and nothing is signed early,
beside that, before it is answered.
"""

from keeper.core.chain import BlockRef
from keeper.core.units import Hash32
from keeper.executor.armament import Armament


class AskingChain:
    """Asks ahead for one operator's chain; of several it is not known yet who will sign."""

    def __init__(self, armament: Armament | None) -> None:
        """Ask nothing yet; disarmed, nothing at all."""
        self._desks = None if armament is None else armament.desks
        self._asked_at: Hash32 | None = None

    def ask(self, head: BlockRef) -> None:
        """Ask for what will be signed at ``head``."""
        desks = self._desks
        if desks is not None and len(desks.addresses) == 1:
            desks.ask_chain(desks.addresses)
            self._asked_at = head.hash

    def has_asked(self, head: BlockRef) -> bool:
        """Return whether it was asked at ``head``; the answer is good for one signing."""
        asked_at, self._asked_at = self._asked_at, None
        return asked_at == head.hash
