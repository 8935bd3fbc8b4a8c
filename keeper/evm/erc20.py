"""What is read of tokens: symbols fit to show, decimals, balances."""

from typing import Final

from keeper.core.units import Address
from keeper.evm.words import WORD, int_at, selector

SYMBOL: Final = selector("symbol()")
DECIMALS: Final = selector("decimals()")
BALANCE_OF: Final = selector("balanceOf(address)")

_SYMBOL_LIMIT: Final = 24
_MARKUP: Final = frozenset("[]<>\\\"'`{}")


def symbol_of(data: bytes, asset: Address) -> str:
    """Return a token's symbol fit for a terminal: printable, short, never empty.

    Reads the ``string`` of ERC-20 and the ``bytes32`` of older tokens. What cannot be read as
    text becomes the start of the address.
    """
    raw = data[:WORD] if len(data) == WORD else _string_bytes(data)
    text = raw.rstrip(b"\0").decode("utf-8", errors="replace").replace("\ufffd", "")
    clean = "".join(c for c in text if c.isprintable() and c not in _MARKUP).strip()
    return clean[:_SYMBOL_LIMIT] or asset[:10]


def _string_bytes(data: bytes) -> bytes:
    start = int_at(data, 0)
    if start + WORD > len(data):
        return b""
    length = int.from_bytes(data[start : start + WORD], "big")
    return data[start + WORD : start + WORD + min(length, _SYMBOL_LIMIT * 4)]
