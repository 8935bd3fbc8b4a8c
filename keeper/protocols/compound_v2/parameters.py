"""What the configuration of a deployment must say."""

from dataclasses import dataclass

from keeper.core.units import Address, address

BORROWS_SLOT = 16
"""Of the mapping ``accountBorrows`` in the storage of Compound's and Venus's markets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Where a deployment of the family begins: everything else is read from there."""

    comptroller: Address
    """The Comptroller's proxy (Unitroller)."""
    wrapped_native: Address
    """The token that stands for the underlying of a market of native coin."""
    account_borrows_slot: int = BORROWS_SLOT
    """Where markets store debts; what is read there is checked, and is not needed to act."""
    half_up: bool = False
    """True for a Comptroller that multiplies mantissas with ``mulExp``, which rounds half up."""

    def __post_init__(self) -> None:
        """Raise ValueError when an address is not one; take them in lower case."""
        for name in ("comptroller", "wrapped_native"):
            object.__setattr__(self, name, address(str(getattr(self, name))))
        if type(self.account_borrows_slot) is not int or self.account_borrows_slot < 0:
            msg = f"account_borrows_slot: expected a slot, found {self.account_borrows_slot!r}"
            raise ValueError(msg)
