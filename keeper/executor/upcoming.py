"""The nonces of transactions that are written one after the other, without a wait in between."""

from keeper.core.units import Address
from keeper.executor.desks import Desks
from keeper.executor.flight import Flight


class UpcomingNonces:
    """The next nonce of each signer, looked up when it is first needed."""

    def __init__(self, desks: Desks, flight: Flight) -> None:
        self._desks = desks
        self._flight = flight
        self._known: dict[Address, int | None] = {}

    def upcoming(self, sender: Address) -> int | None:
        """Return the nonce that would be taken next, None when the chain must be asked."""
        if sender not in self._known:
            held = self._flight.held(sender)
            self._known[sender] = self._desks.of(sender).nonces.upcoming(held)
        return self._known[sender]

    def used(self, sender: Address, nonce: int) -> None:
        """Count on from a nonce that is out."""
        self._known[sender] = nonce + 1
