"""Calls of the factory and of pools, and their answers. Words are sliced by hand."""

from enum import Enum
from typing import Final

from msgspec import Struct

from keeper.core.chain import Call
from keeper.core.errors import StaleError
from keeper.core.units import Address, address_bytes, address_of_word
from keeper.evm.words import topic

_WORD: Final = 32
_SIGN: Final = 1 << 255
_WRAP: Final = 1 << 256
GET_POOL: Final = bytes.fromhex("1698ee82")
"""Of ``getPool(address,address,uint24)``."""
TICK_SPACING: Final = bytes.fromhex("d0c93a7c")
"""Of ``tickSpacing()``."""

CHANGES: Final = frozenset(
    topic(event)
    for event in (
        "Initialize(uint160,int24)",
        "Mint(address,address,int24,int24,uint128,uint256,uint256)",
        "Burn(address,int24,int24,uint128,uint256,uint256)",
        "Swap(address,address,int256,int256,uint160,uint128,int24)",
    )
)
"""Events that come with every change of price, liquidity and ticks."""


class Field(Enum):
    """What a pool is asked, by the selector that asks it."""

    SLOT0 = bytes.fromhex("3850c7bd")
    LIQUIDITY = bytes.fromhex("1a686502")
    WORD = bytes.fromhex("5339c296")
    """``tickBitmap(int16)``"""
    TICK = bytes.fromhex("f30dba93")
    """``ticks(int24)``"""


class Ask(Struct, frozen=True, kw_only=True):
    """One question to a pool; ``at`` is the word or the tick that is asked about."""

    field: Field
    at: int = 0


def get_pool(factory: Address, token_a: Address, token_b: Address, fee: int) -> Call:
    """Ask the factory for the pool of a pair at a fee."""
    words = (b"\x00" * 12 + address_bytes(token) for token in (token_a, token_b))
    return Call(to=factory, data=GET_POOL + b"".join(words) + fee.to_bytes(_WORD))


def tick_spacing(pool: Address) -> Call:
    """Ask a pool for its tick spacing."""
    return Call(to=pool, data=TICK_SPACING)


def ask_pool(pool: Address, ask: Ask) -> Call:
    """Ask a pool one of its fields."""
    selector: bytes = ask.field.value
    if ask.field in (Field.SLOT0, Field.LIQUIDITY):
        return Call(to=pool, data=selector)
    return Call(to=pool, data=selector + ask.at.to_bytes(_WORD, signed=True))


def word_at(data: bytes, index: int, what: str) -> int:
    """Return one unsigned word; raise StaleError when the answer is too short to have it."""
    start = index * _WORD
    if len(data) < start + _WORD:
        msg = f"{what}: expected at least {start + _WORD} bytes, found {len(data)}"
        raise StaleError(msg)
    return int.from_bytes(data[start : start + _WORD])


def signed_word_at(data: bytes, index: int, what: str) -> int:
    """Return one signed word; raise StaleError when the answer is too short to have it."""
    word = word_at(data, index, what)
    return word - _WRAP if word >= _SIGN else word


def pool_address(data: bytes) -> Address:
    """Return the pool in an answer to ``get_pool``; the zero address when there is none."""
    word_at(data, 0, "getPool")
    return address_of_word(data[:_WORD])
