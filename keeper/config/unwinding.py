"""The ``unwind`` list of a chain file: tokens that are redeemed, because no pool trades them."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from keeper.config.section import Section
from keeper.config.values import AddressValue, Positive, distinct, filled


class VaultSettings(Section):
    """Shares of a vault by ERC-4626."""

    kind: Literal["erc4626"]
    token: AddressValue
    """The vault, whose shares are seized."""
    holders: Annotated[tuple[AddressValue, ...], BeforeValidator(distinct), BeforeValidator(filled)]
    """Who keeps the shares until they are seized, as Morpho does: asked what may be redeemed."""
    gas: Positive = 100_000
    """Of redeeming, until a rehearsal tells. Vaults that lend to several markets take more."""


class ATokenSettings(Section):
    """An aToken of Aave V3, or of a fork."""

    kind: Literal["atoken"]
    token: AddressValue
    """The aToken; its pool and underlying are read from it."""
    gas: Positive = 180_000
    """Of withdrawing, until a rehearsal tells."""


UnwindSettings = Annotated[VaultSettings | ATokenSettings, Field(discriminator="kind")]
"""One token."""


def once_each(tokens: tuple[UnwindSettings, ...]) -> tuple[UnwindSettings, ...]:
    """Return the list, in which no token may stand twice."""
    distinct([one.token for one in tokens])
    return tokens
