"""Notifications of a node, on a socket of their own: calls never wait behind them."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from keeper.chain.duplex import DuplexTransport
from keeper.chain.errors import NodeRefusedError
from keeper.chain.jsonrpc import NodeError, Notification, Request
from keeper.chain.sockets import Connect
from keeper.core.errors import TransientError

_CAPACITY = 20_000

DRILL = "drill"
"""The subscription of notifications that are our own, and of no node."""


class Arrival(NamedTuple):
    """A notification, and when its first byte came (``time.perf_counter_ns``)."""

    notice: Notification
    at_ns: int

    @property
    def result(self) -> msgspec.Raw:
        """Return what the notification tells."""
        return self.notice.result


class Subscriptions:
    """One connection's subscriptions. After a loss it stays lost: open another."""

    def __init__(self, name: str, connect: Connect, *, timeout_s: float) -> None:
        self._transport = DuplexTransport(
            name,
            connect,
            notify=self._arrived,
            glance=self._glance,
            lost=self._connection_lost,
        )
        self._timeout_s = timeout_s
        self._queue: asyncio.Queue[Arrival | None] = asyncio.Queue()
        self._trouble: str | None = None
        self.tap: Callable[[bytes, int], None] | None = None
        """Hears each message as it comes, whole and not decoded, and when it came."""

    async def subscribe(self, *params: object) -> str:
        """Return the id of a new subscription; raise NodeRefusedError or TransientError."""
        request = Request(method="eth_subscribe", params=params)
        reply = await self._transport.request(request, timeout_s=self._timeout_s)
        if isinstance(reply, NodeError):
            msg = f"{self._transport.name}: eth_subscribe: expected an id, found {reply.message}"
            raise NodeRefusedError(msg, code=reply.code, reason=reply.message)
        return str(msgspec.json.decode(reply))

    async def unsubscribe(self, subscription: str) -> None:
        """End a subscription; raise TransientError when the node does not answer."""
        request = Request(method="eth_unsubscribe", params=(subscription,))
        await self._transport.request(request, timeout_s=self._timeout_s)

    async def next(self, timeout_s: float) -> Arrival | None:
        """Return the next notification, or None after that long or on ``wake``.

        Raises TransientError when the connection is lost, or was read too slowly to keep up.
        """
        if self._trouble is None or not self._queue.empty():
            try:
                async with asyncio.timeout(timeout_s):
                    found = await self._queue.get()
            except TimeoutError:
                return None
            if found is not None or self._trouble is None:
                return found
        raise TransientError(f"{self._transport.name}: subscription: found that {self._trouble}")

    def wake(self) -> None:
        """Make ``next`` return at once."""
        self._queue.put_nowait(None)

    def end(self, reason: str) -> None:
        """Make ``next`` raise TransientError from now on, as after a loss."""
        self._connection_lost(reason)

    def drill(self, push: bytes) -> None:
        """Have the tap hear a notification of our own; whoever waits for ``next`` does not."""
        self._transport.drill(push)

    async def close(self) -> None:
        """Close the socket."""
        await self._transport.close()

    def _glance(self, message: bytes, at_ns: int) -> None:
        if self.tap is not None and self._trouble is None:
            self.tap(message, at_ns)

    def _arrived(self, notice: Notification, at_ns: int) -> None:
        if self._trouble is not None:
            return
        if self._queue.qsize() >= _CAPACITY:
            self._connection_lost(f"{_CAPACITY} notifications were waiting")
            return
        told = Arrival(notice, at_ns)
        if notice.subscription != DRILL:
            self._queue.put_nowait(told)

    def _connection_lost(self, reason: str) -> None:
        if self._trouble is None:
            self._trouble = reason
            self._queue.put_nowait(None)
