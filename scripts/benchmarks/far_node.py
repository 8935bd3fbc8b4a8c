"""A relay that keeps what passes for a while: a node on this machine as one that is far away.

Run as a process of its own: ``python -m benchmarks.far_node <port of the node> <milliseconds>``. It
prints the port that it listens on.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_CHUNK = 2**20
_QUICKACK = 12
"""``TCP_QUICKACK``: anvil waits for each acknowledgement before it writes on."""


@contextmanager
def far(port: int, away_ms: float) -> Iterator[int]:
    """Relay to a port of this machine, ``away_ms`` in each direction; yield the relay's port.

    It runs on the node's core.
    """
    words = (sys.executable, "-m", "benchmarks.far_node", str(port), str(away_ms))
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as relay:  # noqa: S603 - ourselves
        try:
            if relay.stdout is None:
                raise AssertionError("a pipe")
            os.sched_setaffinity(relay.pid, {0})
            yield int(relay.stdout.readline())
        finally:
            relay.kill()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, away_s: float) -> None:
    loop, heard = asyncio.get_running_loop(), _socket(reader)
    while data := await reader.read(_CHUNK):
        heard.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        loop.call_later(away_s, writer.write, data)
    loop.call_later(away_s, writer.close)


def _socket(reader: asyncio.StreamReader) -> socket.socket:
    found: socket.socket = reader._transport.get_extra_info("socket")  # type: ignore[attr-defined]
    return found


async def _relay(port: int, away_s: float) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_carry(reader, there[1], away_s), _carry(there[0], writer, away_s))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_relay(int(sys.argv[1]), float(sys.argv[2]) / 1_000))
