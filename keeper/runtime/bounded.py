"""Bytes from somebody who may send without an end."""

from collections.abc import AsyncIterable


async def at_most(parts: AsyncIterable[bytes], most: int) -> bytes | None:
    """Return all parts together; None, reading no further, where they are more than ``most``."""
    found = bytearray()
    async for part in parts:
        found += part
        if len(found) > most:
            return None
    return bytes(found)
