"""What a first look is judged by: the prices of the blocks before it, where events moved them.

A restart must not lift a guard: a price that leapt just before, or while nobody looked, is held as
if that had been seen. No event of its own tells of one whose feed answers from another aggregator
since, or that has no feed; such a leap is held from where it is found, for no shorter time.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from keeper.core.chain import BlockRef, LogFilter
from keeper.core.errors import StaleError
from keeper.core.ports import Reader
from keeper.oracle.book import PriceBook

Read = Callable[[BlockRef, PriceBook | None], Awaitable[PriceBook]]


async def book_before(
    reader: Reader, wanted: LogFilter, block: BlockRef, blocks: int, read: Read
) -> PriceBook | None:
    """Return the prices before ``block``, judged from ``blocks`` before it on.

    They are read there, where an event of ``wanted`` moved one, and just before; not where the node
    has no state any more. None where nothing was read.
    """
    if not blocks:
        return None
    first, book = max(block.number - blocks, 0), None
    logs = await reader.logs_between(wanted, first + 1, block.number)
    moved = {log.block_number for log in logs}
    for number in sorted({first} | moved | {one - 1 for one in moved}):
        if number < block.number:
            with suppress(StaleError):  # the node has no state of it any more, but of a later one
                book = await read(await reader.block(number), book)
    return book
