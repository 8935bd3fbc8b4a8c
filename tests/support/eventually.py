"""Waiting in a test for what another task brings about."""

import asyncio
from collections.abc import Callable

from keeper.core.ports import Wire
from keeper.core.units import Hash32

PATIENCE_S = 90.0


async def eventually(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; raise TimeoutError when it takes too long."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the condition may be anything
            await asyncio.sleep(0.001)


async def mined(wire: Wire, tx_hash: Hash32) -> None:
    """Return once a transaction has a receipt; raise TimeoutError when it takes too long."""
    async with asyncio.timeout(PATIENCE_S):
        while await wire.receipt(tx_hash) is None:  # noqa: ASYNC110 - a node has no event for it
            await asyncio.sleep(0.001)
