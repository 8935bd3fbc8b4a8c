"""A JSON-RPC proxy that passes everything on and remembers the methods it was asked for."""

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(slots=True)
class RecordingProxy:
    """Where it listens, and what it was asked."""

    url: str
    methods: set[str] = field(default_factory=set)


@contextmanager
def recording_proxy(target: str) -> Iterator[RecordingProxy]:
    """Serve a proxy of the node at ``target`` until the block ends."""
    record = RecordingProxy(url="")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked = json.loads(body)
            for one in asked if isinstance(asked, list) else [asked]:
                record.methods.add(one["method"])
            request = urllib.request.Request(  # noqa: S310 - a local node
                target, data=body, headers={"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request) as reply:  # noqa: S310 - a local node
                answer = reply.read()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    record.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield record
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
