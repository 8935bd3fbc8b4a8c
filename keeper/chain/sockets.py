"""Message sockets that push, one complete JSON text at a time, and that of a node at hand: IPC."""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter_ns
from typing import Protocol, cast

import msgspec

from keeper.chain.bounded import MOST_BYTES
from keeper.chain.endpoint import Endpoint
from keeper.chain.writing import Pen
from keeper.core.errors import TransientError

_IPC_BUFFER = 2**22


class Listener(Protocol):
    """Is told what arrives on a socket, on the event loop and without delay."""

    arrived_ns: int
    """When the bytes came that are being handed on, by ``time.perf_counter_ns``."""

    def received(self, message: bytes) -> None:
        """Take one complete message."""
        ...

    def oversized(self) -> None:
        """Learn that a message is longer than is read of any, so that no more is read."""
        ...

    def lost(self, reason: str) -> None:
        """Learn that nothing more will come."""
        ...


class MessageSocket(Protocol):
    """An open connection that carries whole messages."""

    async def send(self, message: bytes) -> None:
        """Send one message; raise TransientError when the connection is gone."""
        ...

    def frame(self, message: bytes) -> bytes:
        """Return a message as it is written, for ``write``."""
        ...

    def write(self, frame: bytes) -> bool:
        """Write a frame before returning; False, with nothing written, where that cannot be.

        Of no bytes nothing is written, by the same way.
        """
        ...

    def drill(self, message: bytes) -> None:
        """Hand on a message as if it had come just now."""
        ...

    def abort(self) -> None:
        """Read no more from a connection that cannot be trusted."""
        ...

    async def close(self) -> None:
        """Close the connection. Closing twice is harmless."""
        ...


Connect = Callable[[Listener], Awaitable[MessageSocket]]
"""Opens a socket whose messages go to the listener; raises TransientError."""


class IpcSocket(asyncio.Protocol):
    """A node's Unix socket: JSON texts separated by newlines, or by nothing."""

    def __init__(self, name: str, listener: Listener) -> None:
        self._name = name
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._pen: Pen | None = None
        self._parts: list[bytes] = []
        self._size = 0
        """Of the parts together."""
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport that asyncio made."""
        # A cast, for uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_IPC_BUFFER)
        self._pen = Pen(self._transport)

    def data_received(self, data: bytes) -> None:
        """Hand on each message that is complete."""
        self._listener.arrived_ns = perf_counter_ns()
        *ended, rest = data.split(b"\n")
        for text in ended:
            if self._parts:
                self._parts.append(text)
                text = self._joined()  # noqa: PLW2901 - made whole
            if text:
                self._listener.received(text)
        if not rest:
            return
        self._parts.append(rest)
        self._size += len(rest)
        if self._size > MOST_BYTES:
            self._parts = []
            self.abort()
            self._listener.oversized()
        # Some nodes put no newline after a message: then its end is where the JSON is complete.
        elif rest[-1:] in (b"}", b"]") and _is_json(b"".join(self._parts)):
            self._listener.received(self._joined())

    def _joined(self) -> bytes:
        joined, self._parts, self._size = b"".join(self._parts), [], 0
        return joined

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the listener."""
        self._transport = self._pen = None
        self._writable.set()
        self._listener.lost(type(exc).__name__ if exc else "the connection closed")

    def pause_writing(self) -> None:
        """Make senders wait while the node does not read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let senders go on."""
        self._writable.set()

    async def send(self, message: bytes) -> None:
        """Write one message and a newline."""
        await self._writable.wait()
        if self._transport is None:
            raise TransientError(f"{self._name}: expected a connection, found it closed")
        self._transport.write(message + b"\n")

    def frame(self, message: bytes) -> bytes:
        """Return a message and a newline."""
        return message + b"\n"

    def write(self, frame: bytes) -> bool:
        """Write a frame, unless the node does not read."""
        pen = self._pen
        return pen is not None and self._writable.is_set() and pen.write(frame)

    def drill(self, message: bytes) -> None:
        """Hand on a message as if it had come just now, unless another is coming in."""
        if not self._parts:
            self.data_received(message + b"\n")

    def abort(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """Drop the connection."""
        self.abort()


async def open_ipc(endpoint: Endpoint, listener: Listener) -> MessageSocket:
    """Connect to a node's socket; raise TransientError when there is none."""
    loop = asyncio.get_running_loop()
    try:
        _, made = await loop.create_unix_connection(
            lambda: IpcSocket(endpoint.label, listener), endpoint.address
        )
    except OSError as e:
        msg = f"{endpoint.label}: expected a node's socket, found {e.strerror or e}"
        raise TransientError(msg) from e
    return made


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True
