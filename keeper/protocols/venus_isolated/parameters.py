"""What the configuration of a deployment must say."""

from dataclasses import dataclass

from keeper.core.units import Address, address

BORROWS_SLOT = 217
"""Of the mapping ``accountBorrows`` in the storage of ``VToken`` (isolated-pools 4.4.0)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Where a deployment begins: its pools and their markets are read from there."""

    pool_registry: Address
    account_borrows_slot: int = BORROWS_SLOT
    """Where markets store debts; what is read there is checked, and is not needed to act."""

    def __post_init__(self) -> None:
        """Raise ValueError when the address is not one; take it in lower case."""
        object.__setattr__(self, "pool_registry", address(str(self.pool_registry)))
        if type(self.account_borrows_slot) is not int or self.account_borrows_slot < 0:
            msg = f"account_borrows_slot: expected a slot, found {self.account_borrows_slot!r}"
            raise ValueError(msg)
