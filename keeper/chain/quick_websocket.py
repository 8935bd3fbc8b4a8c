"""aiohttp's WebSocket, with messages that are handed on within the call that brings their bytes.

aiohttp makes the connection, answers pings and closes; what it is asked for through a queue and a
task waits for all else that the event loop has to do. So frames are told apart before it sees them:
text is handed on at once, and only the rest is aiohttp's.
"""

import asyncio
import socket
from collections.abc import Callable
from time import perf_counter_ns
from typing import cast

import aiohttp

from keeper.chain.bounded import MOST_BYTES
from keeper.chain.frames import Frames
from keeper.chain.writing import Pen

Hear = Callable[[bytes, int], None]
"""Takes a message and the time of its arrival, by ``time.perf_counter_ns``."""


class QuickWebSocket(aiohttp.ClientWebSocketResponse[bool]):
    """A client's WebSocket whose messages can be heard as they come."""

    _pen: Pen | None = None
    _doorbell: "_Doorbell | None" = None

    def on_message(self, hear: Hear, refuse: Callable[[], None]) -> None:
        """Have ``hear`` called with each message from now on; ``receive`` tells the end alone.

        ``refuse`` is called where one is longer than is read of any.
        """
        transport = self._transport
        self._pen = Pen(transport)
        inner = cast("asyncio.Protocol", transport.get_protocol())
        self._doorbell = _Doorbell(inner, hear, refuse, self.get_extra_info("socket"))
        transport.set_protocol(self._doorbell)

    async def send_whole(self, frame: bytes) -> bool:
        """Write a whole frame once the node reads what was written before; False when closed.

        aiohttp's own way has all who send wait for one future: whoever gives up cancels it, and
        with it everybody who sends then or later.
        """
        if self._doorbell is not None:
            await self._doorbell.writable.wait()
        return self.write_frame(frame)

    def write_frame(self, frame: bytes) -> bool:
        """Write a whole frame before returning; False, nothing written, where that cannot be."""
        pen = self._pen
        return pen is not None and not self.closed and pen.write(frame)

    def abort(self) -> None:
        """Drop the connection: ``receive`` tells that it is closed."""
        self._transport.abort()

    @property
    def _transport(self) -> asyncio.Transport:
        return self._writer.transport


class _Doorbell(asyncio.Protocol):
    """Stands before aiohttp's protocol and hands on what is not a message."""

    def __init__(
        self,
        inner: asyncio.Protocol,
        hear: Hear,
        refuse: Callable[[], None],
        connection: socket.socket | None,
    ) -> None:
        self._inner = inner
        self._hear = hear
        self._refuse = refuse
        self._frames = Frames(MOST_BYTES)
        self._connection = connection
        self.writable = asyncio.Event()
        """Whether the node reads, as far as is known; set for good once the connection ended."""
        self.writable.set()
        self._acknowledge_at_once()

    def data_received(self, data: bytes) -> None:
        """Hand on each message that is whole, and ask for no delay with the next bytes."""
        at_ns = perf_counter_ns()
        for frame in self._frames.split(data):
            if frame.is_message:
                self._hear(frame.content, at_ns)
            else:
                self._inner.data_received(frame.content)
        if self._frames.is_oversized:
            self._refuse()
        self._acknowledge_at_once()

    def eof_received(self) -> bool | None:
        """Hand it on."""
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand it on, and let senders find out."""
        self.writable.set()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Make senders wait while the node does not read, and hand it on."""
        self.writable.clear()
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Let senders go on, and hand it on."""
        self.writable.set()
        self._inner.resume_writing()

    def _acknowledge_at_once(self) -> None:
        # Linux falls back to delayed acknowledgement by itself; against a server that does not
        # set TCP_NODELAY each delay costs 40 ms.
        if self._connection is not None and hasattr(socket, "TCP_QUICKACK"):
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
