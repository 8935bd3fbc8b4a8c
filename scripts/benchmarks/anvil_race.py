"""Ask anvil about its newest block while it mines the next: how many answers are of another block?

Not a benchmark of Keeper: the reproduction of what ``docs/faults.md`` says about anvil. Every
question is pinned by hash (EIP-1898), asks the EVM for its own block and for a balance that each
block raises by one wei, and is judged afterwards by what the same node says of the same hash.

    PYTHONPATH=scripts .venv/bin/python -m benchmarks.anvil_race [SECONDS]
"""

import json
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from keeper.chain.anvil import AnvilOptions, start_anvil
from keeper.chain.multicall import decode_aggregate3, encode_aggregate3
from keeper.core.chain import Call
from keeper.core.units import Address
from keeper.devnet.build import build_market
from keeper.devnet.packages import ensure_anvil

_SINK = Address("0x" + "77" * 20)
_PAUSE_S = 0.002
_READERS = ((0, "the newest"), (0, "the newest"), (1, "the one before"))


class _Line:
    """A connection of its own: one question, one answer."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))

    def ask(self, method: str, *params: object) -> Any:  # noqa: ANN401 - JSON
        """Return the result."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        body = b""
        while True:
            body += self._socket.recv(1 << 16)
            try:
                return json.loads(body)["result"]
            except ValueError:
                continue


def main() -> None:
    """Mine and ask for some seconds, then count."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    with start_anvil(ensure_anvil(), AnvilOptions(ipc=True)) as anvil:
        market = build_market(anvil.http_url, seed=1, borrowers=5)
        path = anvil.ipc_path
        if path is None:
            raise AssertionError("a path")
        over = threading.Event()
        found: list[tuple[str, dict[str, str], tuple[int, int, int]]] = []
        work = [threading.Thread(target=_mine, args=(path, over))]
        work += [
            threading.Thread(target=_read, args=(path, market.multicall3, over, back, name, found))
            for back, name in _READERS
        ]
        for one in work:
            one.start()
        time.sleep(seconds)
        over.set()
        for one in work:
            one.join()
        _tell(_Line(path), found)


def _mine(path: Path, over: threading.Event) -> None:
    line = _Line(path)
    (sender, *_) = line.ask("eth_accounts")
    while not over.is_set():
        line.ask("eth_sendTransaction", {"from": sender, "to": _SINK, "value": "0x1"})
        time.sleep(_PAUSE_S)


def _read(
    path: Path,
    multicall3: Address,
    over: threading.Event,
    back: int,
    name: str,
    found: list[tuple[str, dict[str, str], tuple[int, int, int]]],
) -> None:
    line = _Line(path)
    words = ("42cbb15c", "0f28c97d", "4d2301cc" + "00" * 12 + _SINK[2:])
    calls = [Call(to=multicall3, data=bytes.fromhex(word)) for word in words]
    target = {"to": multicall3, "data": "0x" + encode_aggregate3(calls).hex()}
    while not over.is_set():
        block = line.ask("eth_getBlockByNumber", "latest", False)
        if back:
            number = hex(int(block["number"], 16) - back)
            block = line.ask("eth_getBlockByNumber", number, False)
        at = {"blockHash": block["hash"], "requireCanonical": True}
        for again in ("first", "second"):
            answer = bytes.fromhex(line.ask("eth_call", target, at)[2:])
            number, timestamp, balance = (
                int.from_bytes(one.data, "big") for one in decode_aggregate3(answer, len(calls))
            )
            found.append((f"{name}, {again} question", block, (number, timestamp, balance)))


def _tell(line: _Line, found: list[tuple[str, dict[str, str], tuple[int, int, int]]]) -> None:
    asked: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    truth: dict[str, int] = {}
    for name, block, (number, timestamp, balance) in found:
        held = block["hash"]
        if held not in truth:
            truth[held] = int(line.ask("eth_getBalance", _SINK, {"blockHash": held}), 16)
        apart = (
            number - int(block["number"], 16),
            timestamp - int(block["timestamp"], 16),
            balance - truth[held],
        )
        asked[name] += 1
        if any(apart):
            wrong[name] += 1
            kinds[f"number {apart[0]:+d}, timestamp {apart[1]:+d}, state {apart[2]:+d}"] += 1
    for name, many in sorted(asked.items()):
        print(f"{name}: {wrong[name]} of {many:,} answers are of another block")
    for kind, many in kinds.most_common():
        print(f"  {many} x {kind}")


if __name__ == "__main__":
    main()
