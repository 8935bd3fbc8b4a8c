"""Who is who on the local node: its well-known accounts, which hold nothing of value anywhere."""

from collections.abc import Sequence

from msgspec import Struct

from keeper.core.errors import ConfigError
from keeper.core.units import Address

KEEPER_KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
"""The private key of `Accounts.keeper`, from the public test mnemonic that anvil starts with."""


class Accounts(Struct, frozen=True, kw_only=True):
    """The roles of the node's first accounts."""

    deployer: Address
    keeper: Address
    recipient: Address
    oracle_node: Address
    arbitrageur: Address
    supplier: Address
    treasury: Address
    actors: tuple[Address, ...]


def assign_accounts(unlocked: Sequence[Address]) -> Accounts:
    """Return the roles of the node's accounts; raise ConfigError when they are too few."""
    needed = 10
    if len(unlocked) < needed:
        raise ConfigError(f"anvil: expected {needed} unlocked accounts, found {len(unlocked)}")
    return Accounts(
        deployer=unlocked[0],
        keeper=unlocked[1],
        recipient=unlocked[2],
        oracle_node=unlocked[3],
        arbitrageur=unlocked[4],
        supplier=unlocked[5],
        treasury=unlocked[6],
        actors=tuple(unlocked[7:needed]),
    )
