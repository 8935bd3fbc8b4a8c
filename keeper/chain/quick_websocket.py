"""aiohttp's WebSocket, which tells when bytes come and acknowledges them at once."""

import asyncio
import os
import socket
from collections.abc import Callable
from time import perf_counter_ns
from typing import Final, cast

import aiohttp

from keeper.chain.writing import Pen

_TEXT: Final = 0x81
"""A text frame that is the whole message."""
_MASKED: Final = 0x80
_TWO_BYTES: Final = 126
_EIGHT_BYTES: Final = 127

Note = Callable[[int], None]
"""Takes the time of an arrival, by ``time.perf_counter_ns``."""


class QuickWebSocket(aiohttp.ClientWebSocketResponse[bool]):
    """A client's WebSocket whose arrivals can be heard of."""

    def on_arrival(self, note: Note) -> None:
        """Have ``note`` called with the time whenever bytes come, before they are looked at."""
        transport = self._writer.transport
        inner = cast("asyncio.Protocol", transport.get_protocol())
        transport.set_protocol(_Doorbell(inner, note, self.get_extra_info("socket")))

    def write_text(self, message: bytes) -> bool:
        """Write one text frame before returning; False, nothing written, where that cannot be."""
        if self.closed:
            return False
        return Pen(self._writer.transport).write(text_frame(message, os.urandom(4)))

    def touch(self, message: bytes) -> None:
        """Make a frame and write nothing: the way stays warm."""
        if not self.closed:
            text_frame(message, os.urandom(4))
            Pen(self._writer.transport).write(b"")


def text_frame(message: bytes, mask: bytes) -> bytes:
    """Return a client's text frame, whole and masked (RFC 6455, section 5)."""
    size = len(message)
    if size < _TWO_BYTES:
        head = bytes((_TEXT, _MASKED | size))
    elif size < 1 << 16:
        head = bytes((_TEXT, _MASKED | _TWO_BYTES)) + size.to_bytes(2, "big")
    else:
        head = bytes((_TEXT, _MASKED | _EIGHT_BYTES)) + size.to_bytes(8, "big")
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    hidden = int.from_bytes(message, "big") ^ key
    return head + mask + hidden.to_bytes(size, "big")


class _Doorbell(asyncio.Protocol):
    """Stands before aiohttp's protocol and hands everything on."""

    def __init__(
        self, inner: asyncio.Protocol, note: Note, connection: socket.socket | None
    ) -> None:
        self._inner = inner
        self._note = note
        self._connection = connection
        self._acknowledge_at_once()

    def data_received(self, data: bytes) -> None:
        """Note the time, hand the bytes on, and ask for no delay with the next."""
        self._note(perf_counter_ns())
        self._inner.data_received(data)
        self._acknowledge_at_once()

    def eof_received(self) -> bool | None:
        """Hand it on."""
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand it on."""
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Hand it on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand it on."""
        self._inner.resume_writing()

    def _acknowledge_at_once(self) -> None:
        # Linux falls back to delayed acknowledgement by itself; against a server that does not
        # set TCP_NODELAY each delay costs 40 ms.
        if self._connection is not None and hasattr(socket, "TCP_QUICKACK"):
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
