"""Waiting in a test for what another task brings about."""

import asyncio
from collections.abc import Callable

_PATIENCE_S = 5.0


async def eventually(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; raise TimeoutError when it takes too long."""
    async with asyncio.timeout(_PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the condition may be anything
            await asyncio.sleep(0.001)
