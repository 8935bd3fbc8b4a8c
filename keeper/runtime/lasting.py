"""Work that must not end before it may: a task that ends in silence is a fault like any other."""

import asyncio
from collections.abc import Awaitable, Callable


class EndedError(Exception):
    """Work ended that was to go on, though nothing was wrong with it that it could tell."""


def never() -> bool:
    """Return False: the work goes on until it is cancelled."""
    return False


async def lasting(work: Callable[[], Awaitable[None]], may_end: Callable[[], bool] = never) -> None:
    """Run work; raise EndedError when it ends before it may.

    A cancellation that nobody asked this task for, such as that of something it waited for, is such
    an end: groups of tasks take a task that was cancelled for one that is done.
    """
    try:
        await work()
    except asyncio.CancelledError as stray:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        msg = f"{_name(work)}: expected it to go on, found it cancelled by what it waited for"
        raise EndedError(msg) from stray
    if not may_end():
        msg = f"{_name(work)}: expected it to go on, found that it ended"
        raise EndedError(msg)


def _name(work: Callable[[], Awaitable[None]]) -> str:
    function = getattr(work, "func", work)  # of a partial
    return getattr(function, "__qualname__", type(function).__name__)
