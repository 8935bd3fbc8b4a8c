"""Type-2 (EIP-1559) transactions: RLP, signing hash, and a signer that holds a key.

Byte for byte what eth-account makes, at a fraction of its time and without its import.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from coincurve import PrivateKey, PublicKey
from msgspec import Struct

from keeper.core.chain import Fees, Transaction
from keeper.core.errors import ConfigError, InvariantError
from keeper.core.units import Address, Hash32, address_bytes
from keeper.evm.hashing import keccak256, keccak_hash

DYNAMIC_FEE_TYPE: Final = b"\x02"
KEY_SIZE: Final = 32

Rlp = bytes | int | Sequence["Rlp"]
"""What RLP encodes: bytes, an unsigned integer, or a list of such."""

_SINGLE_BYTE: Final = 0x80
_STRING: Final = 0x80
_LIST: Final = 0xC0
_SHORT: Final = 55
_SMALL: Final = (b"\x80", *(bytes((one,)) for one in range(1, _SINGLE_BYTE)))
"""The integers that are one byte."""


def encode_rlp(item: Rlp) -> bytes:
    """Return the RLP of bytes, an unsigned integer or a list (yellow paper, appendix B)."""
    if isinstance(item, int):
        return _integer(item)
    if isinstance(item, bytes):
        return _string(item)
    return _list(b"".join([encode_rlp(one) for one in item]))


def _integer(number: int) -> bytes:
    if 0 <= number < _SINGLE_BYTE:
        return _SMALL[number]
    size = (number.bit_length() + 7) // 8
    return _head(size, _STRING) + number.to_bytes(size, "big")


def _string(data: bytes) -> bytes:
    if len(data) == 1 and data[0] < _SINGLE_BYTE:
        return data
    return _head(len(data), _STRING) + data


def _list(body: bytes) -> bytes:
    return _head(len(body), _LIST) + body


def _head(length: int, offset: int) -> bytes:
    if length <= _SHORT:
        return bytes((offset + length,))
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((offset + _SHORT + len(size),)) + size


def dynamic_fee_fields(
    transaction: Transaction, *, chain_id: int, nonce: int, gas_limit: int, fees: Fees
) -> list[Rlp]:
    """Return the unsigned fields of a type-2 transaction, in their order (EIP-1559)."""
    return [
        chain_id,
        nonce,
        fees.priority_fee,
        fees.max_fee,
        gas_limit,
        address_bytes(transaction.to),
        transaction.value,
        transaction.data,
        [],
    ]


@lru_cache(maxsize=1_024)
def _behind_nonce(
    priority_fee: int, max_fee: int, gas_limit: int, to: Address, value: int, data: bytes
) -> bytes:
    """Return the fields behind the nonce, each encoded (EIP-1559).

    They are kept, for what is signed ahead may need another nonce at the last moment.
    """
    fields: list[Rlp] = [priority_fee, max_fee, gas_limit, address_bytes(to), value, data, []]
    return b"".join([encode_rlp(one) for one in fields])


class Draft(Struct, frozen=True, kw_only=True):
    """An unsigned type-2 transaction."""

    body: bytes
    """Its fields, each encoded."""
    unsigned: bytes
    """What is hashed to be signed."""
    digest: bytes
    """That hash."""

    @classmethod
    def of(
        cls, transaction: Transaction, *, chain_id: int, nonce: int, gas_limit: int, fees: Fees
    ) -> "Draft":
        """Return the draft of a transaction. Raises InvariantError when a fee is inverted."""
        if fees.priority_fee > fees.max_fee:
            msg = f"signer: expected priority fee <= {fees.max_fee}, found {fees.priority_fee}"
            raise InvariantError(msg)
        behind = _behind_nonce(
            fees.priority_fee,
            fees.max_fee,
            gas_limit,
            transaction.to,
            transaction.value,
            transaction.data,
        )
        return _draft(chain_id, nonce, behind)

    def signed(self, signature: bytes) -> tuple[bytes, Hash32]:
        """Return the signed bytes and their hash; ``signature`` is r, s and the parity."""
        r, s = signature[:32].lstrip(b"\0"), signature[32:64].lstrip(b"\0")
        added = (_SMALL[signature[64]], _string(r), _string(s))
        raw = DYNAMIC_FEE_TYPE + _list(b"".join((self.body, *added)))
        return raw, keccak_hash(raw)


@lru_cache(maxsize=64)
def _draft(chain_id: int, nonce: int, behind: bytes) -> Draft:
    """Return a draft; kept, as a drill makes the one that comes next if anything does."""
    body = b"".join((_integer(chain_id), _integer(nonce), behind))
    unsigned = DYNAMIC_FEE_TYPE + _list(body)
    return Draft(body=body, unsigned=unsigned, digest=keccak256(unsigned))


def address_of_key(public_key: PublicKey) -> Address:
    """Return the address of a public key."""
    return Address("0x" + keccak256(public_key.format(compressed=False)[1:])[12:].hex())


class LocalSigner:
    """A key in memory that signs for one chain. Implements ``core.ports.Signer``.

    The key is in no ``repr`` and no error, and cannot be pickled or read back.
    """

    __slots__ = ("_address", "_chain_id", "_key")

    is_instant = True

    def __init__(self, key: bytes, *, chain_id: int) -> None:
        """Take the 32 bytes of a secp256k1 key. Raises ConfigError when they are not one."""
        try:
            # coincurve would fill up a shorter one with zeros.
            self._key = PrivateKey(key if len(key) == KEY_SIZE else bytes(KEY_SIZE))
        except ValueError:
            found = f"{len(key)} bytes" if len(key) != KEY_SIZE else "a number out of its range"
            msg = f"private key: expected a secp256k1 key of 32 bytes, found {found}"
            # The cause is cut: a library's message may carry what it was given.
            raise ConfigError(msg) from None
        self._chain_id = chain_id
        self._address = address_of_key(self._key.public_key)

    def __repr__(self) -> str:
        return f"LocalSigner(address={self._address}, chain_id={self._chain_id})"

    def __reduce__(self) -> str:
        msg = "a signer is never serialised"
        raise InvariantError(msg)

    @property
    def address(self) -> Address:
        """Return the sender's address."""
        return self._address

    @property
    def chain_id(self) -> int:
        """Return the only chain that this signer signs for."""
        return self._chain_id

    def require_chain(self, chain_id: int) -> None:
        """Raise InvariantError unless ``chain_id``, as the node reports it, is the signer's."""
        if chain_id != self._chain_id:
            msg = f"signer: expected chain id {self._chain_id}, found {chain_id}; nothing signed"
            raise InvariantError(msg)

    def sign(
        self, transaction: Transaction, *, nonce: int, gas_limit: int, fees: Fees
    ) -> tuple[bytes, Hash32]:
        """Return the signed type-2 transaction and its hash.

        Raises InvariantError when the transaction is another sender's or a fee is inverted.
        """
        if transaction.sender != self._address:
            msg = f"signer: expected sender {self._address}, found {transaction.sender}"
            raise InvariantError(msg)
        draft = Draft.of(
            transaction, chain_id=self._chain_id, nonce=nonce, gas_limit=gas_limit, fees=fees
        )
        return draft.signed(self._key.sign_recoverable(draft.digest, hasher=None))

    async def sign_soon(
        self, transaction: Transaction, *, nonce: int, gas_limit: int, fees: Fees
    ) -> tuple[bytes, Hash32]:
        """Sign at once, as ``sign`` does."""
        return self.sign(transaction, nonce=nonce, gas_limit=gas_limit, fees=fees)
