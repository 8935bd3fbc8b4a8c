"""ABI words by hand: selectors, topics, calldata of whole words, and answers sliced apart."""

from typing import Final

from keeper.core.chain import Call
from keeper.core.units import Address, Hash32
from keeper.evm.hashing import keccak256, keccak_hash

WORD: Final = 32


def selector(signature: str) -> bytes:
    """Return the four bytes that call a function."""
    return keccak256(signature.encode())[:4]


def topic(signature: str) -> Hash32:
    """Return the first topic of an event."""
    return keccak_hash(signature.encode())


def word_of_address(value: Address) -> bytes:
    """Return an address as an ABI word."""
    return bytes(12) + bytes.fromhex(value[2:])


def word_of_int(value: int) -> bytes:
    """Return a non-negative integer as an ABI word."""
    return value.to_bytes(WORD, "big")


def word_of_hash(value: Hash32) -> bytes:
    """Return 32 bytes of hex as an ABI word."""
    return bytes.fromhex(value[2:])


def int_at(data: bytes, position: int) -> int:
    """Return the word at a position as an unsigned integer."""
    return int.from_bytes(data[position * WORD : (position + 1) * WORD], "big")


def signed_at(data: bytes, position: int) -> int:
    """Return the word at a position as a signed integer."""
    return int.from_bytes(data[position * WORD : (position + 1) * WORD], "big", signed=True)


def address_at(data: bytes, position: int) -> Address:
    """Return the address in the word at a position."""
    return Address("0x" + data[position * WORD + 12 : (position + 1) * WORD].hex())


def addresses_at_start(data: bytes) -> list[Address]:
    """Return the ``address[]`` that is the only value of an answer."""
    start = int_at(data, 0) // WORD
    return [address_at(data, start + 1 + i) for i in range(int_at(data, start))]


def ask(to: Address, function: bytes, *words: bytes) -> Call:
    """Return the call of a function with arguments that are already words."""
    return Call(to=to, data=b"".join((function, *words)))


def ask_address(to: Address, function: bytes, argument: Address) -> Call:
    """Return the call of a function of one address."""
    return Call(to=to, data=function + word_of_address(argument))


def ask_int(to: Address, function: bytes, argument: int) -> Call:
    """Return the call of a function of one integer."""
    return Call(to=to, data=function + word_of_int(argument))
