"""What the configuration of a deployment must say."""

from dataclasses import dataclass

from keeper.core.units import Address, address


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Where a deployment of Aave V3 begins: everything else is read from there."""

    addresses_provider: Address
    """The market's PoolAddressesProvider."""

    def __post_init__(self) -> None:
        """Raise ValueError when the address is not one; take it in lower case."""
        found = address(str(self.addresses_provider))
        object.__setattr__(self, "addresses_provider", found)
