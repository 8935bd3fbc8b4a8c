"""What a first look is judged by: the prices of the blocks before it, where events moved them.

A restart must not lift a guard: a price that leapt just before, or while nobody looked, is held as
if that had been seen. No event of its own tells of one whose feed answers from another aggregator
since, or that has no feed; such a leap is held from where it is found, for no shorter time.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from keeper.core.chain import BlockRef, LogFilter
from keeper.core.errors import StaleError
from keeper.core.ports import Reader
from keeper.oracle.book import PriceBook
from keeper.runtime.parallel import each

Judged = Callable[[PriceBook | None], PriceBook]
"""What was read at a block, yet to be judged by the prices before it."""
Read = Callable[[BlockRef], Awaitable[Judged]]

_AT_ONCE: Final = 8
"""Blocks that are read at one time."""


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
    asked = sorted({first} | moved | {one - 1 for one in moved})
    earlier = [number for number in asked if number < block.number]
    for judged in await each(earlier, partial(_read_at, reader, read), at_once=_AT_ONCE):
        book = book if judged is None else judged(book)
    return book


async def _read_at(reader: Reader, read: Read, number: int) -> Judged | None:
    """Return what is read at a block, None where the node has no state of it any more."""
    try:
        return await read(await reader.block(number))
    except StaleError:  # it may have that of a later one
        return None
