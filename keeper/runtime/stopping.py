"""Work that may be told to stop."""

import asyncio
from collections.abc import Coroutine


async def done_before(stop: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
    """Return whether ``work`` ended before ``stop`` was set, which cancels it."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working
            return True
        return False
    finally:
        stopping.cancel()
        working.cancel()
        await asyncio.gather(stopping, working, return_exceptions=True)
