"""What a user types after a command, checked: the option, what was expected and what was found.

A private key in the place of something else is not shown: terminals and services keep what is said.
"""

from pathlib import Path

from keeper.commands.amounts import parse_wad
from keeper.config.complaints import shown
from keeper.config.values import parse_address, parse_path
from keeper.core.errors import ConfigError
from keeper.core.units import Address


def typed_address(option: str, text: str) -> Address:
    """Return an address, its checksum held where its case is mixed. Raises ConfigError."""
    try:
        return parse_address(text)
    except ValueError as error:
        msg = f"{option}: {error}, found {shown(text)}"
        raise ConfigError(msg) from None  # the cause has what was typed


def typed_path(option: str, path: Path) -> Path:
    """Return the path of a file. Raises ConfigError, for a key in its place as well."""
    try:
        return parse_path(path)
    except ValueError as error:
        msg = f"{option}: {error}, found {shown(str(path))}"
        raise ConfigError(msg) from None


def typed_wad(option: str, text: str | None) -> int | None:
    """Return a decimal such as ``1.05`` as a wad, None for none. Raises ConfigError."""
    try:
        return parse_wad(text)
    except ConfigError as error:
        msg = f"{option}: {error}"
        raise ConfigError(msg) from error
