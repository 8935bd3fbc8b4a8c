"""Submit prices from a process of its own: ``python -m benchmarks.price_driver IPC SENDER POOL``.

A line on stdin that is an aggregator, a round and an answer is answered by the transaction's hash
and when it was written; an empty one by when the newest log of a liquidation came. Times are of
``time.perf_counter_ns``, which is the same clock in every process of a machine.
"""

import json
import socket
import sys
import threading
import time

from keeper.evm.words import selector, topic

_APART_S = 0.02
"""From the event to the answer: who asked shares its interpreter with what is measured."""
_SUBMIT = selector("submit(uint256,int256)").hex()
_LIQUIDATED = topic("LiquidationCall(address,address,address,uint256,uint256,address,bool)")


class _Ear(threading.Thread):
    """Hears of liquidations by a connection of its own."""

    def __init__(self, path: str, pool: str) -> None:
        super().__init__(daemon=True)
        self._node = socket.socket(socket.AF_UNIX)
        self._node.connect(path)
        wanted = {"address": pool, "topics": [_LIQUIDATED]}
        asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["logs", wanted]}
        self._node.sendall(json.dumps(asked).encode() + b"\n")
        self.heard_ns = 0

    def run(self) -> None:
        """Note when each log comes."""
        for line in self._node.makefile("rb"):
            if b"eth_subscription" in line:
                self.heard_ns = time.perf_counter_ns()


def main() -> None:
    """Answer lines until stdin ends."""
    path, sender, pool = sys.argv[1:]
    ear = _Ear(path, pool)
    ear.start()
    with socket.socket(socket.AF_UNIX) as node:
        node.connect(path)
        replies = node.makefile("rb")
        for number, line in enumerate(sys.stdin):
            if not line.strip():
                print(ear.heard_ns, flush=True)
                continue
            aggregator, round_id, answer = line.split()
            data = f"0x{_SUBMIT}{int(round_id):064x}{int(answer):064x}"
            call = {"from": sender, "to": aggregator, "data": data, "gas": hex(500_000)}
            asked = {"jsonrpc": "2.0", "id": number, "method": "eth_sendTransaction"}
            node.sendall(json.dumps({**asked, "params": [call]}).encode() + b"\n")
            written_ns = time.perf_counter_ns()
            reply = json.loads(replies.readline())
            time.sleep(_APART_S)
            print(reply.get("result", "refused"), written_ns, flush=True)


if __name__ == "__main__":
    main()
