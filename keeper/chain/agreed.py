"""Reads and receipts that several nodes tell alike: what budgets, nonces and books rest on."""

from collections.abc import Sequence

from keeper.chain.head_tracker import HeadEvent
from keeper.chain.quorum import Node, Quorum
from keeper.chain.reader import ChainReader
from keeper.chain.rpc import Rpc
from keeper.chain.wire import NodeWire
from keeper.core.chain import BlockRef, Call, CallResult, Receipt
from keeper.core.errors import StaleError
from keeper.core.ports import Reader
from keeper.core.units import Address, Hash32


class AgreedReader:
    """A ``Reader`` whose blocks and state enough nodes tell alike; heads and logs are one node's.

    Besides the port's errors raises StaleError without a quorum.
    """

    def __init__(self, quorum: Quorum, reader: ChainReader) -> None:
        """Read what enough nodes tell; ``reader`` is for what one may."""
        self._quorum = quorum
        self.head = reader.head
        self.logs_at = reader.logs_at
        self.logs_of = reader.logs_of
        self.logs_between = reader.logs_between
        self.log_columns = reader.log_columns

    async def block(self, number: int) -> BlockRef:
        """Return the canonical block at ``number``."""
        return await self._quorum.alike(f"block {number}", lambda node: node.reader.block(number))

    async def call_many(self, calls: Sequence[Call], block: BlockRef) -> list[CallResult]:
        """Return the result of each call at ``block``; one bad call never fails the others."""

        async def ask(node: Node) -> tuple[CallResult, ...]:
            return tuple(await node.reader.call_many(calls, block))

        return list(await self._quorum.alike(f"{len(calls)} calls at block {block.number}", ask))

    async def code(self, address: Address, block: BlockRef) -> bytes:
        """Return the runtime code at an address, empty when there is none."""
        return await self._quorum.alike(
            f"the code of {address}", lambda node: node.reader.code(address, block)
        )

    async def balance(self, address: Address, block: BlockRef) -> int:
        """Return a native balance in wei."""
        return await self._quorum.alike(
            f"the balance of {address}", lambda node: node.reader.balance(address, block)
        )

    async def nonce(self, address: Address, block: BlockRef) -> int:
        """Return how many transactions of an address are in the chain up to ``block``."""
        return await self._quorum.alike(
            f"the nonce of {address}", lambda node: node.reader.nonce(address, block)
        )

    async def storage(self, address: Address, slot: int, block: BlockRef) -> int:
        """Return one storage word."""
        (word,) = await self.storage_many([(address, slot)], block)
        return word

    async def storage_many(
        self, slots: Sequence[tuple[Address, int]], block: BlockRef
    ) -> list[int]:
        """Return the storage word at each address and slot, in order."""

        async def ask(node: Node) -> tuple[int, ...]:
            return tuple(await node.reader.storage_many(slots, block))

        return list(await self._quorum.alike(f"{len(slots)} words of storage", ask))


async def require_agreed(reader: Reader, head: BlockRef) -> None:
    """Raise StaleError unless enough nodes have a head as it was told; nothing is asked of one."""
    if not isinstance(reader, AgreedReader):
        return
    found = await reader.block(head.number)
    if found != head:
        raise StaleError(f"block {head.number} as told by most: {head.unlike(found)}")


class AgreedHeads:
    """The heads that enough nodes have, and what a reorg undoes of them.

    What one of several alone claimed and took back was never acted on: nothing of it is undone.
    """

    def __init__(self, reader: Reader) -> None:
        """Ask a reader that needs a quorum; without one every head that is told counts."""
        self._reader = reader
        self._newest: BlockRef | None = None
        self._forks: list[int] = []
        """The last blocks that reorgs left, of those told since the newest."""

    def told(self, event: HeadEvent) -> int:
        """Take a head as one node tells it; return how many agreed blocks it surely undoes."""
        if event.reorg_from is not None:
            self._forks.append(event.reorg_from)
        if isinstance(self._reader, AgreedReader):
            return 0
        return self._take(event.block, len(self._forks))

    async def require(self, head: BlockRef) -> int:
        """Return how many agreed blocks are undone by ``head``.

        Raises StaleError unless enough nodes have it as it was told.
        """
        if not isinstance(self._reader, AgreedReader):
            return 0
        forks = len(self._forks)  # one that is told while nodes are asked is of a later head
        await require_agreed(self._reader, head)
        if forks and await self._still_stands(head):
            del self._forks[:forks]
            forks = 0
        return self._take(head, forks)

    async def _still_stands(self, head: BlockRef) -> bool:
        """Return whether the newest is in the chain of ``head``: who left it came back."""
        newest = self._newest
        if newest is None or newest.number > head.number:
            return False
        return await self._reader.block(newest.number) == newest

    def _take(self, head: BlockRef, forks: int) -> int:
        """Make a head the newest; return how many blocks the first so many reorgs undid."""
        newest, self._newest = self._newest, head
        left = self._forks[:forks]
        del self._forks[:forks]
        return newest.number - min(left) if left and newest else 0


class AgreedWire(NodeWire):
    """A ``Wire`` that sends to one node, and believes so many about what became of it.

    Raises StaleError without a quorum.
    """

    def __init__(self, quorum: Quorum, rpc: Rpc) -> None:
        """Send by ``rpc``."""
        super().__init__(rpc)
        self._quorum = quorum

    async def receipt(self, tx_hash: Hash32) -> Receipt | None:
        """Return the receipt, or None while the transaction is not in a canonical block."""
        return await self._quorum.alike(
            f"the receipt of {tx_hash}", lambda node: node.wire.receipt(tx_hash)
        )

    async def knows(self, tx_hash: Hash32) -> bool:
        """Return whether any node holds the transaction: then it may still land."""
        return await self._quorum.anybody(
            f"transaction {tx_hash}", lambda node: node.wire.knows(tx_hash)
        )

    async def nonce(self, sender: Address, *, pending: bool) -> int:
        """Return the next nonce that enough nodes have come to."""
        return await self._quorum.reached(
            f"the nonce of {sender}", lambda node: node.wire.nonce(sender, pending=pending)
        )
