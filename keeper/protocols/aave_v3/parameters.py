"""What the configuration of a deployment must say."""

from dataclasses import dataclass

from keeper.core.units import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Where a deployment of Aave V3 begins: everything else is read from there."""

    addresses_provider: Address
    """The market's PoolAddressesProvider."""
