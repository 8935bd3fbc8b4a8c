"""Work that is begun before it is known whether anybody will wait for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def begun(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Begin work; whoever awaits it gets its error, and if nobody does nobody complains of it."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(_look_at)
    return task


def _look_at(task: asyncio.Task[T]) -> None:
    """Look at the error: asyncio complains of one that nobody looked at."""
    if not task.cancelled():
        task.exception()
