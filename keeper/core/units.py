"""Units and scales of the values that rooms exchange."""

import re
from typing import Final, NewType

Address = NewType("Address", str)
"""Lower-case ``0x`` hex of 20 bytes."""

Hash32 = NewType("Hash32", str)
"""Lower-case ``0x`` hex of 32 bytes: block and transaction hashes, topics."""

BPS: Final = 10_000
"""Basis points in one."""

WAD: Final = 10**18
RAY: Final = 10**27
YEAR: Final = 31_536_000
"""Seconds in the 365-day year of every protocol mirrored here."""

MAX_UINT256: Final = 2**256 - 1

ZERO_ADDRESS: Final = Address("0x" + "00" * 20)

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_WORD_HEX: Final = 64


def address(text: str) -> Address:
    """Return ``text`` as an address; raise ValueError when it is not 20 bytes of hex."""
    if not _ADDRESS.fullmatch(text):
        msg = f"expected an address of 0x and 40 hex digits, found {text!r}"
        raise ValueError(msg)
    return Address(text.lower())


def address_of_word(word: str | bytes) -> Address:
    """Return the address in the low 20 bytes of a 32-byte word (a topic or ABI word)."""
    digits = word.hex() if isinstance(word, bytes) else word.removeprefix("0x")
    if len(digits) != _WORD_HEX:
        msg = f"expected a word of 64 hex digits, found {len(digits)}"
        raise ValueError(msg)
    return Address("0x" + digits[24:].lower())


def address_bytes(value: Address) -> bytes:
    """Return the 20 bytes of an address."""
    return bytes.fromhex(value[2:])
