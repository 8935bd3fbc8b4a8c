"""What rooms ask of a chain: pinned reads, rehearsals, and the wire out."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from keeper.core.chain import (
    BlockRef,
    Call,
    CallResult,
    Log,
    LogFilter,
    Receipt,
    Simulated,
    StateOverride,
    Transaction,
)
from keeper.core.log_columns import LogColumns
from keeper.core.primed import Primed
from keeper.core.units import Address, Hash32


class Reader(Protocol):
    """Reads of a chain. Every read is pinned to the block it names.

    Raises TransientError when the node cannot answer, StaleError when it no longer (or not yet)
    knows the block.
    """

    async def head(self) -> BlockRef:
        """Return the newest block."""
        ...

    async def block(self, number: int) -> BlockRef:
        """Return the canonical block at ``number``."""
        ...

    async def call_many(self, calls: Sequence[Call], block: BlockRef) -> list[CallResult]:
        """Return the result of each call at ``block``; one bad call never fails the others."""
        ...

    async def logs_at(self, wanted: LogFilter, block: BlockRef) -> list[Log]:
        """Return the logs of one block, by its hash, in order."""
        ...

    async def logs_of(self, wanted: LogFilter, block_hash: Hash32) -> list[Log]:
        """Return the logs of one block of which no more is known, in order."""
        ...

    async def logs_between(self, wanted: LogFilter, first: int, last: int) -> list[Log]:
        """Return the logs of a range of blocks, both ends included, in order."""
        ...

    async def log_columns(
        self,
        wanted: LogFilter,
        first: int,
        last: int,
        progress: Callable[[int, int, int], None] | None = None,
    ) -> LogColumns:
        """Return the logs of a range of blocks as columns: for very many of them.

        ``progress`` is told the last block done, the last wanted, and the logs found so far.
        """
        ...

    async def code(self, address: Address, block: BlockRef) -> bytes:
        """Return the runtime code at an address, empty when there is none."""
        ...

    async def balance(self, address: Address, block: BlockRef) -> int:
        """Return a native balance in wei."""
        ...

    async def nonce(self, address: Address, block: BlockRef) -> int:
        """Return how many transactions of an address are in the chain up to ``block``."""
        ...

    async def storage(self, address: Address, slot: int, block: BlockRef) -> int:
        """Return one storage word."""
        ...

    async def storage_many(
        self, slots: Sequence[tuple[Address, int]], block: BlockRef
    ) -> list[int]:
        """Return the storage word at each address and slot, in order."""
        ...


class Simulator(Protocol):
    """Runs transactions against the state after a block, without sending them."""

    async def simulate(
        self,
        transactions: Sequence[Transaction],
        *,
        base: BlockRef,
        timestamp: int,
        base_fee: int,
        overrides: Mapping[Address, StateOverride],
    ) -> list[Simulated]:
        """Run the transactions in order in one block on top of ``base``."""
        ...


class Wire(Protocol):
    """The node's side of sending: transactions out, receipts back."""

    async def send_raw(self, raw: bytes) -> Hash32:
        """Send a signed transaction once; never retried here. Raises RefusedError."""
        ...

    def prime_raw(self, raw: bytes) -> Primed[Hash32] | None:
        """Make a signed transaction ready to be written; its answer tells as ``send_raw``.

        None where that cannot be: no socket that is open.
        """
        ...

    def post_raw(self, raw: bytes) -> Awaitable[Hash32] | None:
        """Write a signed transaction before returning; what is returned tells as ``send_raw``.

        None, with nothing written, where that cannot be.
        """
        ...

    async def receipt(self, tx_hash: Hash32) -> Receipt | None:
        """Return the receipt, or None while the transaction is not in a canonical block."""
        ...

    async def knows(self, tx_hash: Hash32) -> bool:
        """Return whether the node holds the transaction, pending or included."""
        ...

    async def raw(self, tx_hash: Hash32) -> bytes | None:
        """Return a transaction's signed bytes, None when the node does not tell them."""
        ...

    async def nonce(self, sender: Address, *, pending: bool) -> int:
        """Return the next nonce of an address, with or without its pending transactions."""
        ...

    async def chain_id(self) -> int:
        """Return the chain id that the node reports now."""
        ...
