"""Submit prices from a process of its own: ``python -m benchmarks.price_driver IPC SENDER``.

A line on stdin is an aggregator, a round and an answer; the transaction's hash comes back.
"""

import json
import socket
import sys
import time

from keeper.evm.words import selector

_APART_S = 0.02
"""From the event to the answer: who asked shares its interpreter with what is measured."""
_SUBMIT = selector("submit(uint256,int256)").hex()


def main() -> None:
    """Answer lines until stdin ends."""
    path, sender = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as node:
        node.connect(path)
        replies = node.makefile("rb")
        for number, line in enumerate(sys.stdin):
            aggregator, round_id, answer = line.split()
            data = f"0x{_SUBMIT}{int(round_id):064x}{int(answer):064x}"
            call = {"from": sender, "to": aggregator, "data": data, "gas": hex(500_000)}
            asked = {"jsonrpc": "2.0", "id": number, "method": "eth_sendTransaction"}
            node.sendall(json.dumps({**asked, "params": [call]}).encode() + b"\n")
            reply = json.loads(replies.readline())
            time.sleep(_APART_S)
            print(reply.get("result", "refused"), flush=True)


if __name__ == "__main__":
    main()
