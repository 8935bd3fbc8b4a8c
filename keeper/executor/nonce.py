"""One writer of nonces for one sender."""

from keeper.core.ports import Wire
from keeper.core.units import Address


class NonceKeeper:
    """Hands out nonces in order. Only the executor's loop calls it."""

    def __init__(self, wire: Wire, sender: Address) -> None:
        """Make a keeper that asks the chain before its first nonce."""
        self._wire = wire
        self._sender = sender
        self._next: int | None = None

    async def peek(self) -> int:
        """Return the nonce of the next transaction, without using it up."""
        if self._next is None:
            self._next = await self._wire.nonce(self._sender, pending=True)
        return self._next

    def used(self, nonce: int) -> None:
        """Say that ``nonce`` went out, or may have."""
        self._next = nonce + 1

    def resync(self) -> None:
        """Ask the chain again before the next nonce: something was dropped or refused."""
        self._next = None
