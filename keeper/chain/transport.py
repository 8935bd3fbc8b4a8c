"""What carries requests to one node and brings the replies back."""

from collections.abc import Sequence
from typing import Protocol

from keeper.chain.jsonrpc import Reply, Request
from keeper.core.primed import Primed


class Transport(Protocol):
    """A way to one node. It tries once; retrying is the business of ``keeper.chain.rpc``.

    Raises TransientError for everything that is not an answer: no connection, no reply in time,
    HTTP errors, bytes that are not JSON-RPC, a reply to another request.
    """

    @property
    def name(self) -> str:
        """Return what the node may be called in messages; holds no secret."""
        ...

    async def request(self, request: Request, *, timeout_s: float) -> Reply:
        """Send one request and return the node's result or error."""
        ...

    def prime(self, request: Request) -> Primed[Reply] | None:
        """Make one request ready to be written at once.

        None where that cannot be: no open socket, or none that pushes.
        """
        ...

    async def batch(self, requests: Sequence[Request], *, timeout_s: float) -> list[Reply]:
        """Send several requests at once and return their replies in the same order."""
        ...

    async def close(self) -> None:
        """Let go of the connection; requests in flight end in TransientError."""
        ...
