"""The signature by which relays know who asks: a reputation, not the key that holds funds.

``X-Flashbots-Signature`` is ``address:signature`` where the signature is EIP-191's of the *text*
``0x`` + hex of the Keccak-256 of the body, byte for byte as it is sent.
"""

from typing import Final

from coincurve import PrivateKey, PublicKey

from keeper.core.errors import RefusedError
from keeper.core.units import Address
from keeper.evm.hashing import checksum_address, keccak256

HEADER: Final = "X-Flashbots-Signature"

_V: Final = 27
_SIGNATURE: Final = 65


def personal_digest(text: bytes) -> bytes:
    """Return what EIP-191 (version ``E``) signs for a text."""
    return keccak256(b"\x19Ethereum Signed Message:\n%d" % len(text) + text)


def body_text(body: bytes) -> bytes:
    """Return the text that is signed for a request's body."""
    return b"0x" + keccak256(body).hex().encode()


class RelayIdentity:
    """A key that signs requests to relays. It is in no ``repr``."""

    __slots__ = ("_key", "address")

    def __init__(self, key: bytes) -> None:
        """Take the 32 bytes of a secp256k1 key."""
        self._key = PrivateKey(key)
        self.address = address_of(self._key.public_key)

    def __repr__(self) -> str:
        return f"RelayIdentity(address={self.address})"

    def header(self, body: bytes) -> str:
        """Return the value of the header for a body."""
        digest = personal_digest(body_text(body))
        signature = bytearray(self._key.sign_recoverable(digest, hasher=None))
        signature[64] += _V
        return f"{checksum_address(self.address)}:0x{signature.hex()}"


def address_of(key: PublicKey) -> Address:
    """Return the address of a public key."""
    return Address("0x" + keccak256(key.format(compressed=False)[1:])[12:].hex())


def signer_of(body: bytes, header: str) -> Address:
    """Return who signed a body. Raises RefusedError when the header does not hold for it."""
    claimed, _, text = header.partition(":")
    signature = bytes.fromhex(text.removeprefix("0x"))
    if len(signature) != _SIGNATURE:
        msg = f"{HEADER}: expected a signature of {_SIGNATURE} bytes, found {len(signature)}"
        raise RefusedError(msg)
    recoverable = signature[:64] + bytes((signature[64] - _V,))
    digest = personal_digest(body_text(body))
    found = address_of(PublicKey.from_signature_and_message(recoverable, digest, hasher=None))
    if found != claimed.lower():
        msg = f"{HEADER}: expected the body signed by {claimed.lower()}, found {found}"
        raise RefusedError(msg)
    return found
