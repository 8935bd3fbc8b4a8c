"""A relay and builder for tests that speaks the protocol for real over HTTP.

It verifies ``X-Flashbots-Signature`` over the exact bytes of each request, simulates bundles on
the node with ``eth_simulateV1``, keeps them by replacement UUID, and builds a block when the test
says so: it sends the transactions of what is due to the node, in order, and mines. It can withhold,
refuse, stall and include late. It stands for no real relay: none could be had where this was
written.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from eth_account import Account

from keeper.core.errors import InvariantError, RefusedError
from keeper.core.units import Address
from keeper.devnet.rpc import Rpc
from keeper.evm.hashing import keccak256
from keeper.evm.relay_signature import HEADER, signer_of
from keeper.evm.signed_transaction import decode_signed

MOST = 100
MOST_BYTES = 300_000
_CANNOT_BE = ("max fee per gas less than block base fee", "nonce too low", "underpriced")
"""What the node says of what no builder could have in this block."""


@dataclass(frozen=True)
class Bundle:
    """What a searcher asked to have in one block, whole or not at all."""

    txs: tuple[str, ...]
    block: int
    uuid: str
    reverting: frozenset[str]

    @property
    def hash(self) -> str:
        hashes = b"".join(bytes.fromhex(tx_hash(raw)[2:]) for raw in self.txs)
        return "0x" + keccak256(hashes).hex()


@dataclass
class TestRelay:
    """What the relay holds and how it behaves."""

    __test__ = False

    rpc_url: str
    url: str = ""
    bundles: dict[str, Bundle] = field(default_factory=dict)
    private: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Private transactions by hash: raw, and the last block to try."""
    asked: list[tuple[str, Address]] = field(default_factory=list)
    """Every method that was asked, and who signed it."""
    expired: list[Bundle] = field(default_factory=list)
    refuse: str = ""
    """Say no to everything, with these words."""
    stall_s: float = 0
    """Answer nothing for so long."""
    check_signature: bool = True
    waiting: int = 0
    """Requests that are being answered."""
    most_waiting: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, method: str) -> int:
        return sum(1 for name, _ in self.asked if name == method)

    @contextmanager
    def being_answered(self) -> Iterator[None]:
        """Count a request as long as it waits."""
        with self.lock:
            self.waiting += 1
            self.most_waiting = max(self.most_waiting, self.waiting)
        yield
        with self.lock:
            self.waiting -= 1

    def answer(self, body: bytes, header: str | None) -> dict[str, object]:
        """Answer one request, or refuse it as a relay does."""
        request = json.loads(body)
        try:
            who = self._verified(body, header)
            self.asked.append((request["method"], who))
            if self.refuse:
                raise RefusedError(self.refuse)  # noqa: TRY301 - as the methods below do
            result = getattr(self, "do_" + request["method"])(*request["params"])
        except (RefusedError, InvariantError, AttributeError, KeyError) as error:
            failure = {"code": -32000, "message": str(error)}
            return {"jsonrpc": "2.0", "id": request["id"], "error": failure}
        return {"jsonrpc": "2.0", "id": request["id"], "result": result}

    def _verified(self, body: bytes, header: str | None) -> Address:
        if not self.check_signature:
            return Address("0x" + "00" * 20)
        if header is None:
            raise RefusedError(f"expected a {HEADER} header, found none")
        return signer_of(body, header)

    def do_eth_sendBundle(self, wanted):  # noqa: N802 - the protocol's name
        bundle = Bundle(
            txs=tuple(wanted["txs"]),
            block=int(wanted["blockNumber"], 16),
            uuid=wanted.get("replacementUuid") or wanted["txs"][0],
            reverting=frozenset(wanted.get("revertingTxHashes", ())),
        )
        if not 0 < len(bundle.txs) <= MOST or sum(len(tx) // 2 for tx in bundle.txs) > MOST_BYTES:
            raise RefusedError(f"expected 1 to {MOST} transactions, found {len(bundle.txs)}")
        with self.lock:
            self.bundles[bundle.uuid] = bundle
        return {"bundleHash": bundle.hash}

    def do_eth_cancelBundle(self, wanted):  # noqa: N802 - the protocol's name
        with self.lock:
            self.bundles.pop(wanted["replacementUuid"], None)

    def do_eth_callBundle(self, wanted):  # noqa: N802 - the protocol's name
        results = self._simulate(wanted["txs"])
        used = sum(int(one["gasUsed"], 16) for one in results)
        shown = [
            {"txHash": tx_hash(raw), "gasUsed": int(one["gasUsed"], 16)}
            | ({} if one["status"] == "0x1" else {"error": "execution reverted"})
            for raw, one in zip(wanted["txs"], results, strict=True)
        ]
        return {"results": shown, "totalGasUsed": used}

    def do_eth_sendPrivateTransaction(self, wanted):  # noqa: N802 - the protocol's name
        last = int(wanted["maxBlockNumber"], 16)
        with self.lock:
            self.private[tx_hash(wanted["tx"])] = (wanted["tx"], last)
        return tx_hash(wanted["tx"])

    def do_eth_cancelPrivateTransaction(self, wanted):  # noqa: N802 - the protocol's name
        with self.lock:
            return self.private.pop(wanted["txHash"], None) is not None

    def build(self, *, withhold: bool = False, late: bool = False) -> int:
        """Mine the next block with what is due, and return how many transactions it was given.

        ``withhold`` includes nothing. ``late`` includes bundles whose block has passed, as a relay
        that misbehaves after a reorg would.
        """
        rpc = Rpc(self.rpc_url)
        number = int(rpc.call("eth_blockNumber"), 16) + 1
        sent = 0
        with self.lock:
            due = [one for one in self.bundles.values() if one.block == number]
            gone = [one for one in self.bundles.values() if one.block < number]
            self.expired += gone
            for one in gone:
                del self.bundles[one.uuid]
            if late:
                due = [*self.expired]
            if not withhold:
                sent = sum(self._include(rpc, bundle) for bundle in due)
                sent += self._include_private(rpc, number)
        rpc.call("evm_mine")
        rpc.close()
        return sent

    def _include(self, rpc: Rpc, bundle: Bundle) -> int:
        """Send a bundle's transactions if none of them reverts that may not."""
        for raw, result in zip(bundle.txs, self._simulate(bundle.txs), strict=True):
            if result["status"] != "0x1" and tx_hash(raw) not in bundle.reverting:
                return 0
        for raw in bundle.txs:
            # One of somebody else may be in the node's pool already; anvil then says so.
            ((_, reply),) = rpc.try_batch([("eth_sendRawTransaction", [raw])])
            if any(words in str(reply) for words in _CANNOT_BE):
                return 0
            if "error" in reply and "already" not in str(reply["error"]):
                raise InvariantError(f"relay: expected {tx_hash(raw)} taken, found {reply}")
        return len(bundle.txs)

    def _include_private(self, rpc: Rpc, number: int) -> int:
        sent = 0
        for raw, last in list(self.private.values()):
            if last < number:
                del self.private[tx_hash(raw)]
                continue
            found = rpc.try_batch([("eth_sendRawTransaction", [raw])])
            sent += "error" not in found[0][1]
        return sent

    def _simulate(self, txs):
        """Run signed transactions in order on the node's head, without mining."""
        rpc = Rpc(self.rpc_url)
        (block,) = rpc.call(
            "eth_simulateV1", {"blockStateCalls": [{"calls": [call_of(raw) for raw in txs]}]},
            "latest",
        )  # fmt: skip
        rpc.close()
        return block["calls"]


def call_of(raw: str) -> dict[str, str]:
    """Return a signed transaction as a call, its sender recovered from the signature."""
    sender = Address(Account.recover_transaction(raw).lower())
    signed = decode_signed(bytes.fromhex(raw[2:]), sender=sender)
    return {
        "from": sender,
        "to": signed.transaction.to,
        "data": "0x" + signed.transaction.data.hex(),
        "value": hex(signed.transaction.value),
        "gas": hex(signed.gas_limit),
    }


def tx_hash(raw: str) -> str:
    return "0x" + keccak256(bytes.fromhex(raw[2:])).hex()


@contextmanager
def running_relay(rpc_url: str) -> Iterator[TestRelay]:
    """Serve a relay on a free port until the block ends."""
    relay = TestRelay(rpc_url=rpc_url)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            with relay.being_answered():
                time.sleep(relay.stall_s)
                answer = json.dumps(relay.answer(body, self.headers.get(HEADER))).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    relay.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield relay
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
