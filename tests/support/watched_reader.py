"""A reader that passes everything on, remembers ranges of logs, and fails once when told to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from keeper.core.chain import BlockRef, Call, CallResult, Log, LogFilter
from keeper.core.errors import TransientError
from keeper.core.log_columns import LogColumns
from keeper.core.ports import Reader
from keeper.core.units import Address, Hash32

Progress = Callable[[int, int, int], None]

BLOCKS_BEHIND = 2


@dataclass(slots=True, kw_only=True)
class WatchedReader:
    """A real reader behind a switch."""

    reader: Reader
    fail_in: int | None = None
    """The reads that still succeed before one fails; None never fails."""
    reads: int = 0
    ranges: list[tuple[int, int]] = field(default_factory=list)

    async def head(self) -> BlockRef:
        self._count()
        return await self.reader.head()

    async def block(self, number: int) -> BlockRef:
        self._count()
        return await self.reader.block(number)

    async def call_many(self, calls: Sequence[Call], block: BlockRef) -> list[CallResult]:
        self._count()
        return await self.reader.call_many(calls, block)

    async def logs_at(self, wanted: LogFilter, block: BlockRef) -> list[Log]:
        self._count()
        return await self.reader.logs_at(wanted, block)

    async def logs_of(self, wanted: LogFilter, block_hash: Hash32) -> list[Log]:
        self._count()
        return await self.reader.logs_of(wanted, block_hash)

    async def logs_between(self, wanted: LogFilter, first: int, last: int) -> list[Log]:
        self._count()
        self.ranges.append((first, last))
        return await self.reader.logs_between(wanted, first, last)

    async def log_columns(
        self, wanted: LogFilter, first: int, last: int, progress: Progress | None = None
    ) -> LogColumns:
        self._count()
        self.ranges.append((first, last))
        return await self.reader.log_columns(wanted, first, last, progress)

    async def code(self, address: Address, block: BlockRef) -> bytes:
        self._count()
        return await self.reader.code(address, block)

    async def balance(self, address: Address, block: BlockRef) -> int:
        self._count()
        return await self.reader.balance(address, block)

    async def nonce(self, address: Address, block: BlockRef) -> int:
        self._count()
        return await self.reader.nonce(address, block)

    async def storage(self, address: Address, slot: int, block: BlockRef) -> int:
        self._count()
        return await self.reader.storage(address, slot, block)

    async def storage_many(
        self, slots: Sequence[tuple[Address, int]], block: BlockRef
    ) -> list[int]:
        self._count()
        return await self.reader.storage_many(slots, block)

    def _count(self) -> None:
        self.reads += 1
        if self.fail_in is None:
            return
        if self.fail_in == 0:
            self.fail_in = None
            msg = "expected an answer, found a broken wire"
            raise TransientError(msg)
        self.fail_in -= 1


class Behind(WatchedReader):
    """Many nodes behind one address: the one that tells ranges of logs has no newest blocks yet."""

    async def logs_between(self, wanted: LogFilter, first: int, last: int) -> list[Log]:
        return await super().logs_between(wanted, first, last - BLOCKS_BEHIND)

    async def log_columns(
        self, wanted: LogFilter, first: int, last: int, progress: Progress | None = None
    ) -> LogColumns:
        return await super().log_columns(wanted, first, last - BLOCKS_BEHIND, progress)
