"""A node that forks another, asked so that it cannot stand still.

Anvil locks its past states while a question about one of them waits for what it fetches from the
other node. The methods of ``ALONE`` wait for that lock in a thread of those that read the sockets.
Where it is the one that reads them just then, no other takes its place: what was fetched lies
unread, the lock stays taken and the node never answers again. Seen in anvil 1.4.4 to 1.7.1.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from keeper.chain.jsonrpc import Reply, Request
from keeper.chain.transport import Transport
from keeper.core.primed import Primed

T = TypeVar("T")

ALONE: Final = frozenset(
    {"eth_getBalance", "eth_getCode", "eth_getStorageAt", "eth_getTransactionCount"}
)
"""Never asked while anything else is, so that they find the lock free."""

PATIENCE_S = 120.0
"""Longest wait for a reply: the fork may have to fetch much from a node that is far away."""


class ForkTransport:
    """Talks to a fork through another transport, which nobody else may use."""

    def __init__(self, node: Transport) -> None:
        self._node = node
        self._turns = _Turns()

    @property
    def name(self) -> str:
        """Return what the node may be called in messages."""
        return self._node.name

    async def request(self, request: Request, *, timeout_s: float) -> Reply:  # noqa: ARG002 - a fork is slow, not lost
        """Send one request in its turn and wait for the reply as long as a fork may take."""
        return await self._in_turn(
            [request], lambda: self._node.request(request, timeout_s=PATIENCE_S)
        )

    def prime(self, request: Request) -> Primed[Reply] | None:  # noqa: ARG002 - the port's
        """Return None: a request that waits for its turn cannot be written at once."""
        return None

    async def batch(self, requests: Sequence[Request], *, timeout_s: float) -> list[Reply]:  # noqa: ARG002 - as above
        """Send several requests in their turn and wait as long as a fork may take."""
        return await self._in_turn(
            requests, lambda: self._node.batch(requests, timeout_s=PATIENCE_S)
        )

    async def close(self) -> None:
        """Let go of the connection; requests in flight end in TransientError."""
        await self._node.close()

    async def _in_turn(self, requests: Sequence[Request], ask: Callable[[], Awaitable[T]]) -> T:
        leave = await self._turns.enter(alone=any(one.method in ALONE for one in requests))
        asked = asyncio.ensure_future(ask())
        asked.add_done_callback(lambda _: leave())
        # Who gives up on a question does not end it: the node is still at it.
        return await asyncio.shield(asked)


class _Turns:
    """Lets many in together or one alone, in the order in which they came."""

    def __init__(self) -> None:
        self._door = asyncio.Lock()
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    async def enter(self, *, alone: bool) -> Callable[[], None]:
        """Wait for the turn; return what ends it."""
        await self._door.acquire()
        if not alone:
            self._inside += 1
            self._empty.clear()
            self._door.release()
            return self._leave
        try:
            await self._empty.wait()
        except asyncio.CancelledError:
            self._door.release()
            raise
        return self._door.release

    def _leave(self) -> None:
        self._inside -= 1
        if not self._inside:
            self._empty.set()
