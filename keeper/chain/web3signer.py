"""Sign with a key that web3signer holds, over its HTTP API, and believe nothing that it says.

Used is ``POST /api/v1/eth1/sign/{public key}`` (web3signer's ETH1 API): it hashes ``data`` with
keccak-256 and answers 65 bytes, ``r``, ``s`` and ``v`` as hex. The transaction is put together here
from the fields that were asked for, so that a signature is all that the other side contributes; it
is used only when it recovers to the operator's address over exactly these bytes. The other way,
``eth_signTransaction``, answers a whole transaction that would have to be taken apart again.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import aiohttp
import msgspec
from coincurve import PublicKey

from keeper.chain.bounded import MOST_OF_OTHERS, bounded
from keeper.chain.endpoint import Endpoint
from keeper.chain.http import connection_trouble
from keeper.core.chain import Fees, Transaction
from keeper.core.errors import ConfigError, InvariantError, RefusedError, TransientError
from keeper.core.units import Address, Hash32
from keeper.evm.hashing import keccak256
from keeper.evm.transaction import Draft, address_of_key

_OK: Final = 200
_NOT_FOUND: Final = 404
_SERVER_ERROR: Final = 500
_SIGNATURE_SIZE: Final = 65
_KEY_SIZE: Final = 64
_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Of secp256k1. A signature with ``s`` over half of it is not valid on chain (EIP-2)."""


class Web3Signer:
    """One key of a web3signer. Implements ``core.ports.Signer``; it takes a round trip to sign."""

    is_instant = False

    def __init__(
        self,
        desk: "SignerDesk",
        *,
        address: Address,
        public_key: str,
        chain_id: int,
    ) -> None:
        """Sign by ``desk`` with the key that it lists as ``public_key``."""
        self._desk = desk
        self._address = address
        self._public_key = public_key
        self._chain_id = chain_id

    @property
    def address(self) -> Address:
        """Return the sender's address."""
        return self._address

    def sign(
        self, transaction: Transaction, *, nonce: int, gas_limit: int, fees: Fees
    ) -> tuple[bytes, Hash32]:
        """Raise InvariantError: a key elsewhere cannot sign at once."""
        del transaction, nonce, gas_limit, fees
        msg = f"signer {self._address}: expected to be asked and waited for, found asked at once"
        raise InvariantError(msg)

    async def sign_soon(
        self, transaction: Transaction, *, nonce: int, gas_limit: int, fees: Fees
    ) -> tuple[bytes, Hash32]:
        """Return the signed type-2 transaction and its hash.

        Raises RefusedError when the signer will not, or what it answers is not the operator's
        signature over this very transaction; TransientError when it does not answer.
        """
        if transaction.sender != self._address:
            msg = f"signer: expected sender {self._address}, found {transaction.sender}"
            raise InvariantError(msg)
        draft = Draft.of(
            transaction, chain_id=self._chain_id, nonce=nonce, gas_limit=gas_limit, fees=fees
        )
        signature = await self._desk.signature(self._public_key, draft.unsigned)
        return draft.signed(self._checked(signature, draft.digest))

    def _checked(self, signature: bytes, digest: bytes) -> bytes:
        """Return a signature with its parity as last byte, if it is this key's over the digest."""
        if len(signature) != _SIGNATURE_SIZE:
            raise self._foreign(f"{len(signature)} bytes")
        if not 0 < int.from_bytes(signature[32:64], "big") <= _ORDER // 2:
            raise self._foreign("an s that no chain takes")
        parity = signature[64] - 27 if signature[64] in (27, 28) else signature[64]
        if parity not in (0, 1):
            raise self._foreign(f"v of {signature[64]}")
        plain = signature[:64] + bytes((parity,))
        try:
            public = PublicKey.from_signature_and_message(plain, digest, hasher=None)
        except ValueError:
            raise self._foreign("one that recovers to nobody") from None
        found = address_of_key(public)
        if found != self._address:
            raise self._foreign(f"one of {found}, or over other bytes")
        return plain

    def _foreign(self, found: str) -> RefusedError:
        return RefusedError(
            f"{self._desk.name}: expected a signature of {self._address} over the transaction, "
            f"found {found}; it is not used"
        )


class SignerDesk:
    """The way to one web3signer."""

    def __init__(
        self, endpoint: Endpoint, session: aiohttp.ClientSession, *, timeout_s: float
    ) -> None:
        """Ask over ``session``, and wait so long for an answer."""
        self._endpoint = endpoint
        self._session = session
        self._timeout_s = timeout_s

    @property
    def name(self) -> str:
        """Return scheme and host: the rest of the URL may be a secret."""
        return f"web3signer {self._endpoint.label}"

    async def signers(
        self, wanted: Sequence[Address], *, chain_id: int, key: str
    ) -> list[Web3Signer]:
        """Return a signer for each wanted address; ``key`` is where it was configured.

        Raises ConfigError when web3signer does not have one, or does not answer.
        """
        try:
            _, content = await self._ask("GET", "/api/v1/eth1/publicKeys", None)
            listed = msgspec.json.decode(content, type=list[str])
            found = {_address(one): one for one in listed}
        except (TransientError, RefusedError, msgspec.DecodeError, ValueError) as error:
            msg = f"{key}: expected a list of keys from {self.name}, found: {error}"
            raise ConfigError(msg) from None
        missing = [one for one in wanted if one not in found]
        if missing:
            has = ", ".join(sorted(found)) or "none"
            msg = f"{key}: expected {self.name} to have the key of {missing[0]}, found {has}"
            raise ConfigError(msg)
        return [
            Web3Signer(self, address=one, public_key=found[one], chain_id=chain_id)
            for one in wanted
        ]

    async def signature(self, public_key: str, data: bytes) -> bytes:
        """Return what web3signer answers to be the signature over ``keccak256(data)``."""
        body = msgspec.json.encode({"data": "0x" + data.hex()})
        status, content = await self._ask("POST", f"/api/v1/eth1/sign/{public_key}", body)
        if status == _NOT_FOUND:
            raise RefusedError(f"{self.name}: expected it to have the operator's key, found none")
        if status != _OK:
            raise RefusedError(f"{self.name}: expected a signature, found HTTP {status}")
        try:
            return bytes.fromhex(content.decode("ascii").strip().removeprefix("0x"))
        except (UnicodeDecodeError, ValueError):
            msg = f"{self.name}: expected a signature in hex, found {len(content)} other bytes"
            raise RefusedError(msg) from None

    async def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        url = self._endpoint.address.rstrip("/") + path
        headers = {"content-type": "application/json"} if body is not None else {}
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.request(
                    method, url, data=body, headers=headers, allow_redirects=False
                ) as answer,
            ):
                content = await bounded(answer, self.name, MOST_OF_OTHERS)
        except TimeoutError:
            msg = f"{self.name}: expected an answer in {self._timeout_s:g} s, found none"
            raise TransientError(msg) from None
        except (aiohttp.ClientError, OSError) as error:
            # The cause's own text can hold the URL.
            raise TransientError(f"{self.name}: {connection_trouble(error)}") from None
        if answer.status >= _SERVER_ERROR:
            raise TransientError(f"{self.name}: expected HTTP 200, found {answer.status}")
        return answer.status, content


def _address(public_key: str) -> Address:
    """Return the address of an uncompressed public key in hex, as web3signer lists them."""
    raw = bytes.fromhex(public_key.removeprefix("0x"))[-_KEY_SIZE:]
    if len(raw) != _KEY_SIZE:
        msg = f"a public key of {len(raw)} bytes, not {_KEY_SIZE}"
        raise ValueError(msg)
    return Address("0x" + keccak256(raw)[12:].hex())
