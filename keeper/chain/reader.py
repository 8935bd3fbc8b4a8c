"""Reads of a chain, each pinned to the block that it names."""

from collections.abc import Sequence

from keeper.chain.call_batch import CallBatch
from keeper.chain.data_fees import Rollup
from keeper.chain.jsonrpc import Request
from keeper.chain.log_ranges import LogRanges, Progress, log_query, log_values
from keeper.chain.log_receipts import from_receipts
from keeper.chain.pinned import PinnedRpc
from keeper.chain.records import BlockRecord, LogRecord, data_bytes, quantity
from keeper.core.chain import BlockRef, Call, CallResult, Log, LogFilter
from keeper.core.errors import StaleError
from keeper.core.log_columns import LogColumns, joined
from keeper.core.units import Address, Hash32

_BY_NUMBER = "eth_getBlockByNumber"
_BY_HASH = "eth_getBlockByHash"
_STORAGE = "eth_getStorageAt"
_LOGS = "eth_getLogs"


class ChainReader:
    """The ``Reader`` of a node. See ``keeper.core.ports.Reader`` for the errors raised."""

    def __init__(
        self,
        pinned: PinnedRpc,
        calls: CallBatch,
        ranges: LogRanges,
        *,
        rollup: Rollup | None = None,
    ) -> None:
        """Read a chain, of that kind if it is a rollup."""
        self._pinned = pinned
        self._rpc = pinned.rpc
        self._calls = calls
        self._ranges = ranges
        self._rollup = rollup

    async def head(self) -> BlockRef:
        """Return the newest block."""
        return await self._block(_BY_NUMBER, "latest")

    async def block(self, number: int) -> BlockRef:
        """Return the canonical block at ``number``."""
        return await self._block(_BY_NUMBER, hex(number))

    async def block_by_hash(self, block_hash: Hash32) -> BlockRef:
        """Return a block by its hash, canonical or not, while the node remembers it."""
        return await self._block(_BY_HASH, block_hash)

    async def call_many(self, calls: Sequence[Call], block: BlockRef) -> list[CallResult]:
        """Return the result of each call at ``block``; one bad call never fails the others."""
        return await self._calls.run(calls, block)

    async def logs_at(self, wanted: LogFilter, block: BlockRef) -> list[Log]:
        """Return the logs of one block, by its hash, in order.

        No addresses means no logs, no topics means any topic.
        """
        return await self.logs_of(wanted, block.hash)

    async def logs_of(self, wanted: LogFilter, block_hash: Hash32) -> list[Log]:
        """Return the logs of one block of which no more is known, in order."""
        if not wanted.addresses:
            return []
        query = log_query(wanted, blockHash=block_hash)
        reply = await self._rpc.ask(_LOGS, query)
        reply = await from_receipts(self._rpc, wanted, block_hash, reply)
        return log_values(self._rpc.decode(list[LogRecord], _LOGS, reply))

    async def logs_between(
        self, wanted: LogFilter, first: int, last: int, progress: Progress | None = None
    ) -> list[Log]:
        """Return the logs of a range of blocks, both ends included, in order.

        No addresses means no logs, no topics means any topic.
        """
        if not wanted.addresses:
            return []
        return await self._ranges.read(wanted, first, last, progress)

    async def log_columns(
        self, wanted: LogFilter, first: int, last: int, progress: Progress | None = None
    ) -> LogColumns:
        """Return the logs of a range of blocks as columns, both ends included, in order."""
        if not wanted.addresses:
            return joined(())
        return await self._ranges.read_columns(wanted, first, last, progress)

    async def code(self, address: Address, block: BlockRef) -> bytes:
        """Return the runtime code at an address, empty when there is none."""
        return data_bytes(await self._state("eth_getCode", [address], block))

    async def balance(self, address: Address, block: BlockRef) -> int:
        """Return a native balance in wei."""
        return quantity(await self._state("eth_getBalance", [address], block))

    async def nonce(self, address: Address, block: BlockRef) -> int:
        """Return how many transactions of an address are in the chain up to ``block``."""
        return quantity(await self._state("eth_getTransactionCount", [address], block))

    async def storage(self, address: Address, slot: int, block: BlockRef) -> int:
        """Return one storage word."""
        (word,) = await self.storage_many([(address, slot)], block)
        return word

    async def storage_many(
        self, slots: Sequence[tuple[Address, int]], block: BlockRef
    ) -> list[int]:
        """Return the storage word at each address and slot, in order."""
        if not slots:
            return []
        replies = await self._pinned.ask_many(
            lambda at: [
                Request(method=_STORAGE, params=(address, hex(slot), at)) for address, slot in slots
            ],
            block,
        )
        return [quantity(self._rpc.decode(str, _STORAGE, reply)) for reply in replies]

    async def _state(self, method: str, params: list[object], block: BlockRef) -> str:
        reply = await self._pinned.ask(method, params, block)
        return self._rpc.decode(str, method, reply)

    async def _block(self, method: str, which: str) -> BlockRef:
        record = await self._rpc.read_optional(BlockRecord, method, which, False)
        if record is None:
            raise StaleError(f"{self._rpc.name}: expected block {which}, found none")
        return record.value(self._rollup)
