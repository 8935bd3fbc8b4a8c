"""WebSockets to nodes."""

import os
from time import perf_counter_ns

import aiohttp

from keeper.chain.background import Background
from keeper.chain.bounded import MOST_BYTES
from keeper.chain.endpoint import Endpoint
from keeper.chain.frames import text_frame
from keeper.chain.http import connection_trouble
from keeper.chain.quick_websocket import QuickWebSocket
from keeper.chain.sockets import Listener, MessageSocket
from keeper.core.errors import TransientError

_HEARTBEAT_S = 20.0


class WebSocket:
    """A WebSocket of aiohttp, with quick acknowledgement of what arrives."""

    def __init__(
        self, name: str, stream: "aiohttp.ClientWebSocketResponse[bool]", listener: Listener
    ) -> None:
        self._name = name
        self._stream = stream
        self._listener = listener
        self._aborted = False
        if isinstance(stream, QuickWebSocket):
            stream.on_message(self._hear, self._refuse)

    async def send(self, message: bytes) -> None:
        """Send one text frame."""
        try:
            if not isinstance(self._stream, QuickWebSocket):
                await self._stream.send_frame(message, aiohttp.WSMsgType.TEXT)
            elif not await self._stream.send_whole(self.frame(message)):
                raise TransientError(f"{self._name}: expected a connection, found it closed")
        except (aiohttp.ClientError, OSError) as e:
            msg = f"{self._name}: expected a connection, found {type(e).__name__}"
            raise TransientError(msg) from e

    def frame(self, message: bytes) -> bytes:
        """Return a message as one text frame, under a mask of its own."""
        return text_frame(message, os.urandom(4))

    def write(self, frame: bytes) -> bool:
        """Write one frame."""
        return isinstance(self._stream, QuickWebSocket) and self._stream.write_frame(frame)

    def drill(self, message: bytes) -> None:
        """Hand on a message as if it had come just now."""
        self._listener.arrived_ns = perf_counter_ns()
        self._listener.received(message)

    def abort(self) -> None:
        """Drop the connection; the reading task is what tells the listener."""
        self._aborted = True
        if isinstance(self._stream, QuickWebSocket):
            self._stream.abort()

    async def close(self) -> None:
        """Close the connection, which ends the reading task."""
        await self._stream.close()

    async def read(self) -> None:
        """Wait until the connection ends; the body of the reading task."""
        reason = "it was not JSON-RPC"
        while not self._aborted:
            try:
                message = await self._stream.receive()
            except (aiohttp.ClientError, OSError) as e:
                # A ping came before the end, and aiohttp could not answer it any more.
                reason = f"the connection closed ({type(e).__name__})"
                break
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                reason = f"the connection closed ({message.type.name})"
                break
            self._hear(message.data, perf_counter_ns())
        self._listener.lost(reason)
        await self._stream.close()

    def _hear(self, message: bytes, at_ns: int) -> None:
        if not self._aborted:
            self._listener.arrived_ns = at_ns
            self._listener.received(message)

    def _refuse(self) -> None:
        self.abort()
        self._listener.oversized()


async def open_websocket(
    endpoint: Endpoint,
    session: aiohttp.ClientSession,
    background: Background,
    listener: Listener,
) -> MessageSocket:
    """Connect to a node; raise TransientError when it cannot be."""
    try:
        stream = await session.ws_connect(
            endpoint.address, heartbeat=_HEARTBEAT_S, max_msg_size=MOST_BYTES, decode_text=False
        )
    except aiohttp.WSServerHandshakeError as e:
        msg = f"{endpoint.label}: expected a WebSocket, found HTTP {e.status}"
        raise TransientError(msg) from e
    except (aiohttp.ClientError, OSError) as e:
        raise TransientError(f"{endpoint.label}: {connection_trouble(e)}") from e
    made = WebSocket(endpoint.label, stream, listener)
    background.start(made.read())
    return made
