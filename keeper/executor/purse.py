"""Say when an operator's account falls under its floor, and when it is over it again."""

import structlog

from keeper.core.units import Address

log = structlog.get_logger()

BALANCE_FELL = "balance.fell"
BALANCE_RESTORED = "balance.restored"


class Purse:
    """Watches one native balance. Policy refuses by the floor; this tells a person in time."""

    def __init__(self, address: Address, *, floor: int) -> None:
        """Watch ``address``; ``floor`` is wei."""
        self._address = address
        self._floor = floor
        self._is_low = False
        self.balance: int | None = None
        """As it was read last, wei; None while it is not known."""

    def holds(self, balance: int | None) -> None:
        """Take note of a balance, wei; None when it was not read."""
        self.balance = balance
        if balance is None:
            return
        was, self._is_low = self._is_low, balance < self._floor
        facts = {"address": self._address, "balance_wei": balance, "floor_wei": self._floor}
        if self._is_low and not was:
            log.warning(BALANCE_FELL, **facts)
        elif was and not self._is_low:
            log.warning(BALANCE_RESTORED, **facts)
