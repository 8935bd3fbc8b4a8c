"""The same work on many items, a few at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from keeper.core.errors import KeeperError

T = TypeVar("T")
R = TypeVar("R")


async def each(items: Sequence[T], work: Callable[[T], Awaitable[R]], *, at_once: int) -> list[R]:
    """Return the result of ``work`` for each item, in order, ``at_once`` of them in flight.

    The first error of Keeper's own stops the rest and is raised as itself, not in a group.
    """
    if len(items) == 1:
        return [await work(items[0])]
    turn = asyncio.Semaphore(at_once)

    async def run(item: T) -> R:
        async with turn:
            return await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(item)) for item in items]
    except ExceptionGroup as found:
        ours, others = found.split(KeeperError)
        if ours is None or others is not None:
            raise
        raise ours.exceptions[0] from None
    return [task.result() for task in tasks]
