"""What the configuration of a deployment must say."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from keeper.core.units import Address, address
from keeper.protocols.aave_v3.revision import RELEASES


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Where a deployment of Aave V3 begins: everything else is read from there."""

    addresses_provider: Address
    """The market's PoolAddressesProvider."""
    revisions: Mapping[int, str] = field(default_factory=dict)
    """Of a fork that numbers its Pool by itself: ``POOL_REVISION()`` to the release of Aave V3
    whose rules it follows, as ``{4: "3.0"}``. Empty are Aave's own numbers."""

    def __post_init__(self) -> None:
        """Raise ValueError for what is no address or no release; take the address in lower case."""
        found = address(str(self.addresses_provider))
        object.__setattr__(self, "addresses_provider", found)
        for revision, release in self.revisions.items():
            if release not in RELEASES:
                known = ", ".join(RELEASES)
                msg = f"revisions.{revision}: expected one of {known}, found {release!r}"
                raise ValueError(msg)
