"""Types of single settings: what is accepted, and what it becomes.

Each parser raises ValueError with what it expected; the caller adds file, line, key and what was
found. Environment overrides arrive as text, so every parser takes text as well.
"""

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator

from keeper.core import units
from keeper.core.units import BPS, Address
from keeper.evm.hashing import checksum_address

_UNITS: Final = {"wei": 0, "gwei": 9, "ether": 18, "eth": 18}
_AMOUNT: Final = re.compile(r"([0-9][0-9_]*)(?:\.([0-9]+))?\s*([a-z]+)?")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_KEY: Final = re.compile(r"(?:0x)?[0-9a-fA-F]{64}")
_WHOLE: Final = re.compile(r"[0-9]{1,3}(?:_?[0-9]{1,3}){0,40}")


def parse_wei(value: object) -> int:
    """Return an amount as wei: a whole number of wei, or text such as ``0.01 ether``."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value >= 0:
            return value
    elif isinstance(value, str) and (found := _AMOUNT.fullmatch(value.strip().lower())):
        whole, fraction, unit = found.group(1), found.group(2) or "", found.group(3) or "wei"
        if unit in _UNITS and len(fraction) <= _UNITS[unit]:
            digits = whole.replace("_", "") + fraction.ljust(_UNITS[unit], "0")
            return int(digits)
    msg = "expected an amount in wei, or with a unit as in '0.01 ether' or '3 gwei'"
    raise ValueError(msg)


def parse_whole(value: object) -> int:
    """Return a whole number that is not negative."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    msg = "expected a whole number, 0 or more"
    raise ValueError(msg)


def parse_positive(value: object) -> int:
    """Return a whole number above zero."""
    try:
        number = parse_whole(value)
    except ValueError:
        number = 0
    if number == 0:
        msg = "expected a whole number, 1 or more"
        raise ValueError(msg)
    return number


def parse_bps(value: object) -> int:
    """Return basis points between 0 and 10,000."""
    try:
        number = parse_whole(value)
    except ValueError:
        number = BPS + 1
    if number > BPS:
        msg = f"expected basis points, a whole number from 0 to {BPS}"
        raise ValueError(msg)
    return number


def parse_address(value: object) -> Address:
    """Return an address in lower case; its checksum must hold when its case is mixed."""
    if not isinstance(value, str):
        msg = "expected an address of 0x and 40 hex digits"
        raise ValueError(msg)  # noqa: TRY004 - pydantic collects ValueError
    try:
        address = units.address(value.strip())
    except ValueError:
        msg = "expected an address of 0x and 40 hex digits"
        raise ValueError(msg) from None
    digits = value.strip()[2:]
    right = checksum_address(address)
    if digits not in {digits.lower(), digits.upper()} and "0x" + digits != right:
        msg = f"bad checksum: expected {right}"
        raise ValueError(msg)
    if address == units.ZERO_ADDRESS:
        msg = "expected an address, not the zero address"
        raise ValueError(msg)
    return address


def parse_path(value: object) -> Path:
    """Return a path; ``~`` is the user's home. A key in its place is refused before it is shown."""
    text = str(value).strip()
    if not isinstance(value, str | Path) or not text or _KEY.fullmatch(text):
        msg = "expected a path"
        raise ValueError(msg)
    try:
        return Path(value).expanduser()
    except RuntimeError:
        msg = "expected a path, or '~' of a user whose home is known"
        raise ValueError(msg) from None


def parse_name(value: object) -> str:
    """Return a short name of letters, digits and ``_ . -``."""
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    msg = "expected a name of letters, digits, '_', '.' and '-'"
    raise ValueError(msg)


def parse_feed(value: object) -> str:
    """Return the name of a feed: its label, or its source's address in lower case."""
    if isinstance(value, str) and value.lower().startswith("0x"):
        return parse_address(value)
    return str(value)


def split_list(value: object) -> object:
    """Return the items of a list, or of a text with commas between them."""
    return [item.strip() for item in value.split(",")] if isinstance(value, str) else value


def listed(value: object) -> object:
    """Return the items of a list, one item as a list of one, nothing as none."""
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)


def filled(value: object) -> object:
    """Return a list that has at least one item."""
    if value is None or (isinstance(value, list | tuple) and not value):
        msg = "expected at least one"
        raise ValueError(msg)
    return value


def distinct(value: object) -> object:
    """Return a list of scalars in which nothing is named twice; one scalar is a list of one."""
    value = split_list(value)
    items = value if isinstance(value, list | tuple) else [value]
    seen: set[str] = set()
    for item in items:
        key = str(item).lower()
        if key in seen:
            msg = f"duplicate {item!r}: expected each once"
            raise ValueError(msg)
        seen.add(key)
    return items


Wei = Annotated[int, BeforeValidator(parse_wei)]
Whole = Annotated[int, BeforeValidator(parse_whole)]
Positive = Annotated[int, BeforeValidator(parse_positive)]
Bps = Annotated[int, BeforeValidator(parse_bps)]
AddressValue = Annotated[Address, BeforeValidator(parse_address)]
PathValue = Annotated[Path, BeforeValidator(parse_path)]
FeedName = Annotated[str, BeforeValidator(parse_feed)]
Name = Annotated[str, BeforeValidator(parse_name)]
