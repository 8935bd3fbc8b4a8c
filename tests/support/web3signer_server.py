"""A web3signer for tests: its ETH1 HTTP API, spoken for real, with a key of its own.

The real one is a Java program that no package registry here has. This one holds real keys,
hashes and signs what it is sent as web3signer documents (``r``, ``s``, ``v`` of 27 or 28, as hex
text), and misbehaves on request.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from coincurve import PrivateKey

from keeper.evm.hashing import keccak256

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SECRET_PATH = "canary-path"  # noqa: S105 - what must not be seen


@dataclass
class FakeWeb3Signer:
    keys: dict[str, PrivateKey]
    """By public key as it lists them."""
    port: int = 0
    asked: list[bytes] = field(default_factory=list)
    """What it was to sign, before hashing."""
    status: int = 200
    alter: Callable[[bytes], bytes] = lambda data: data
    """Of what is signed."""
    spoil: Callable[[str], str] = lambda text: text
    """Of what is answered."""
    gate: threading.Event = field(default_factory=threading.Event)
    """While it is clear nothing is answered."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{SECRET_PATH}"

    def sign(self, public_key: str, data: bytes) -> str:
        """Sign as web3signer does: keccak-256 of the data."""
        digest = keccak256(self.alter(data))
        signature = self.keys[public_key].sign_recoverable(digest, hasher=None)
        return self.spoil("0x" + signature[:64].hex() + f"{27 + signature[64]:02x}")


def high_s(text: str) -> str:
    """Return the other signature of the same key over the same bytes, which EIP-2 forbids."""
    raw = bytes.fromhex(text[2:])
    s = ORDER - int.from_bytes(raw[32:64], "big")
    return "0x" + raw[:32].hex() + s.to_bytes(32, "big").hex() + f"{55 - raw[64]:02x}"


@contextmanager
def fake_web3signer(*keys: bytes) -> Iterator[FakeWeb3Signer]:
    made = [PrivateKey(key) for key in keys]
    listed = {"0x" + one.public_key.format(compressed=False)[1:].hex(): one for one in made}
    signer = FakeWeb3Signer(keys=listed)
    signer.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == f"/{SECRET_PATH}/api/v1/eth1/publicKeys":
                self._answer(200, json.dumps(list(signer.keys)), "application/json")
            else:
                self._answer(404, "", "text/plain")

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            place, _, public_key = self.path.rpartition("/")
            signer.gate.wait()
            if place != f"/{SECRET_PATH}/api/v1/eth1/sign" or public_key not in signer.keys:
                self._answer(404, "", "text/plain")
            elif signer.status != 200:
                self._answer(signer.status, "canary-error", "text/plain")
            else:
                data = bytes.fromhex(body["data"].removeprefix("0x"))
                signer.asked.append(data)
                self._answer(200, signer.sign(public_key, data), "text/plain; charset=utf-8")

        def _answer(self, status: int, text: str, kind: str) -> None:
            content = text.encode()
            try:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                """Nobody waited."""

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    signer.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield signer
    finally:
        signer.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
