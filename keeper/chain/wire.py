"""The node's side of sending: transactions out, receipts back."""

import re
from collections.abc import Awaitable
from typing import Final

import msgspec

from keeper.chain.classify import is_unsaid
from keeper.chain.jsonrpc import NodeError, Reply
from keeper.chain.records import ReceiptRecord, data_bytes, hash32, quantity
from keeper.chain.rpc import Rpc
from keeper.core.chain import Receipt
from keeper.core.errors import TransientError
from keeper.core.primed import Primed, post
from keeper.core.units import Address, Hash32
from keeper.evm.hashing import keccak_hash

_SEND: Final = "eth_sendRawTransaction"
_RECEIPT: Final = "eth_getTransactionReceipt"

_MAYBE_OURS = re.compile(
    r"already known|already imported|known transaction|already exists|nonce (is )?too low",
    re.IGNORECASE,
)
"""Refusals that also come when the node has this very transaction already."""


class NodeWire:
    """The ``Wire`` of a node."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    async def send_raw(self, raw: bytes) -> Hash32:
        """Send a signed transaction once, and return its hash when the node has it.

        Raises NodeRefusedError with the node's reason. After a TransientError it is not known
        whether the node took the transaction: look its hash up with ``knows``.
        """
        return await self._judged(raw, await self._rpc.send_once(_SEND, "0x" + raw.hex()))

    def prime_raw(self, raw: bytes) -> Primed[Hash32] | None:
        """Make a signed transaction ready to be written; its answer tells as ``send_raw``."""
        primed = self._rpc.prime(_SEND, "0x" + raw.hex())
        if primed is None:
            return None
        answer = primed.answer
        return Primed(
            write=primed.write,
            touch=primed.touch,
            answer=lambda: self._answered(raw, answer()),
        )

    def post_raw(self, raw: bytes) -> Awaitable[Hash32] | None:
        """Write a signed transaction before returning; what is returned tells as ``send_raw``.

        None, with nothing written, where that cannot be.
        """
        return post(self.prime_raw(raw))

    async def _answered(self, raw: bytes, asked: Awaitable[Reply]) -> Hash32:
        return await self._judged(raw, await self._rpc.within(asked, _SEND))

    async def _judged(self, raw: bytes, reply: Reply) -> Hash32:
        ours = keccak_hash(raw)
        if isinstance(reply, NodeError):
            unsaid, refusal = is_unsaid(reply.message), self._rpc.refusal(_SEND, reply)
            if (unsaid or _MAYBE_OURS.search(reply.message)) and await self.knows(ours):
                return ours
            if unsaid:  # what stands before the node gave up; the node may not have
                raise TransientError(str(refusal))
            raise refusal
        told = hash32(self._rpc.decode(str, _SEND, reply))
        if told != ours:
            msg = f"{self._rpc.name}: {_SEND}: expected hash {ours}, found {told}"
            raise TransientError(msg)
        return ours

    async def receipt(self, tx_hash: Hash32) -> Receipt | None:
        """Return the receipt, or None while the transaction is not in a canonical block.

        Raises TransientError for that of another transaction: it says nothing of this one.
        """
        record = await self._rpc.read_optional(ReceiptRecord, _RECEIPT, tx_hash)
        if record is None:
            return None
        found = record.value()
        if found.tx_hash != tx_hash:
            msg = f"{self._rpc.name}: expected the receipt of {tx_hash}, found {found.tx_hash}'s"
            raise TransientError(msg)
        return found

    async def knows(self, tx_hash: Hash32) -> bool:
        """Return whether the node holds the transaction, pending or included."""
        found = await self._rpc.read_optional(msgspec.Raw, "eth_getTransactionByHash", tx_hash)
        return found is not None

    async def raw(self, tx_hash: Hash32) -> bytes | None:
        """Return a transaction's signed bytes, None when the node does not tell them (any more)."""
        found = await self._rpc.read_optional(str, "eth_getRawTransactionByHash", tx_hash)
        raw = b"" if found is None else data_bytes(found)
        return raw if raw and keccak_hash(raw) == tx_hash else None

    async def nonce(self, sender: Address, *, pending: bool) -> int:
        """Return the next nonce of an address, with or without its pending transactions."""
        at = "pending" if pending else "latest"
        return quantity(await self._rpc.read(str, "eth_getTransactionCount", sender, at))

    async def chain_id(self) -> int:
        """Return the chain id that the node reports now."""
        return quantity(await self._rpc.read(str, "eth_chainId"))
