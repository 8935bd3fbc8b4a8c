"""Bytes that are with the kernel when the call returns: uvloop's own write waits for the loop."""

import asyncio
import os


class Pen:
    """Writes to one connection."""

    def __init__(self, transport: asyncio.Transport) -> None:
        """Take an open connection; bytes of TLS are left to it."""
        self._transport = transport
        connection = transport.get_extra_info("socket")
        secret = transport.get_extra_info("ssl_object") is not None
        self._file = None if connection is None or secret else connection.fileno()

    def write(self, data: bytes) -> bool:
        """Write bytes in their turn, at once where none wait before them; False when closed.

        Those that the kernel does not take are left to the transport.
        """
        transport = self._transport
        if transport.is_closing():
            return False
        if self._file is None or transport.get_write_buffer_size():
            transport.write(data)
            return True
        try:
            done = os.write(self._file, data)
        except BlockingIOError:
            done = 0
        except OSError:  # the other side is gone; the transport is about to notice
            return False
        if done < len(data):
            transport.write(data[done:])
        return True
