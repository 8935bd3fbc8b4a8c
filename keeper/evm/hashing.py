"""Keccak-256 and the address checksum that is made with it."""

from typing import Final

import sha3  # type: ignore[import-untyped]  # C extension without stubs

from keeper.core.units import Address, Hash32

_UPPER_FROM: Final = 8


def keccak256(data: bytes) -> bytes:
    """Return the Keccak-256 digest of ``data``."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


def keccak_hash(data: bytes) -> Hash32:
    """Return the Keccak-256 digest of ``data`` as lower-case ``0x`` hex."""
    return Hash32("0x" + keccak256(data).hex())


def checksum_address(value: Address) -> str:
    """Return an address in the mixed case of ERC-55."""
    digits = value[2:]
    mask = keccak256(digits.encode("ascii")).hex()
    cased = (
        digit.upper() if int(nibble, 16) >= _UPPER_FROM else digit
        for digit, nibble in zip(digits, mask, strict=False)
    )
    return "0x" + "".join(cased)
