"""Bytes that are with the kernel when the call returns: uvloop's own write waits for the loop."""

import asyncio
import os


def write_now(transport: asyncio.Transport, data: bytes) -> bool:
    """Write bytes in their turn, at once where none wait before them; False when it is closed.

    Bytes of TLS, and those that the kernel does not take, are left to the transport.
    """
    if transport.is_closing():
        return False
    connection = transport.get_extra_info("socket")
    secret = transport.get_extra_info("ssl_object") is not None
    if connection is None or secret or transport.get_write_buffer_size():
        transport.write(data)
        return True
    try:
        done = os.write(connection.fileno(), data)
    except BlockingIOError:
        done = 0
    except OSError:  # the other side is gone; the transport is about to notice
        return False
    if done < len(data):
        transport.write(data[done:])
    return True
