"""A webhook that people would read alerts at: apprise's ``json://``, and it may stall or fail."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Inbox:
    port: int = 0
    asked: int = 0
    taken: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    gate: threading.Event = field(default_factory=threading.Event)
    """While it is clear nothing is answered."""

    @property
    def url(self) -> str:
        """Of the channel, with a token that must never be seen in a log."""
        return f"json://127.0.0.1:{self.port}/canary-token?cto=1&rto=1"

    @property
    def titles(self) -> list[str]:
        return [one["title"] for one in self.taken]


@contextmanager
def alert_inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    inbox.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            inbox.asked += 1
            inbox.gate.wait()
            if inbox.status == 200:
                inbox.taken.append(body)
            try:
                self.send_response(inbox.status)
                self.send_header("content-length", "0")
                self.end_headers()
            except OSError:
                """Nobody waited for the answer."""

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    inbox.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield inbox
    finally:
        inbox.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
