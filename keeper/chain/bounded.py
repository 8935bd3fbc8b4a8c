"""How much of a reply is read: whoever sends without an end would fill the memory."""

from typing import TYPE_CHECKING, Final

from keeper.chain.errors import OversizedError
from keeper.runtime.bounded import at_most

if TYPE_CHECKING:  # it takes long to load, and is not where all nodes are local sockets
    import aiohttp

MOST_BYTES: Final = 2**27
"""Of one message of a node: thirteen times what 10,000 logs take, where most nodes end a page."""
MOST_OF_OTHERS: Final = 2**22
"""Of an answer of a relay or a signer."""


def oversized(name: str, most: int) -> OversizedError:
    """Return the error for a reply that is longer than is read of it."""
    return OversizedError(f"{name}: expected a reply of at most {most} bytes, found more")


async def bounded(answer: "aiohttp.ClientResponse", name: str, most: int) -> bytes:
    """Return the body of an answer over HTTP; drop the connection of a longer one."""
    body = await at_most(answer.content.iter_any(), most)
    if body is None:
        answer.close()
        raise oversized(name, most)
    return body
