"""What a user types after a command, checked: the option, what was expected and what was found."""

from keeper.commands.amounts import parse_wad
from keeper.config.values import parse_address
from keeper.core.errors import ConfigError
from keeper.core.units import Address


def typed_address(option: str, text: str) -> Address:
    """Return an address, its checksum held where its case is mixed. Raises ConfigError."""
    try:
        return parse_address(text)
    except ValueError as error:
        msg = f"{option}: {error}, found {text!r}"
        raise ConfigError(msg) from error


def typed_wad(option: str, text: str | None) -> int | None:
    """Return a decimal such as ``1.05`` as a wad, None for none. Raises ConfigError."""
    try:
        return parse_wad(text)
    except ConfigError as error:
        msg = f"{option}: {error}"
        raise ConfigError(msg) from error
