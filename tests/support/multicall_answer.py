"""Multicall3 played by a fake node, with an ABI library to read and write."""

from collections.abc import Callable
from typing import Any

from eth_abi import decode, encode

from tests.support.fake_node import Refusal


def multicall(
    data: str,
    alone: Callable[[dict[str, str]], Any],
    *,
    largest: int = 10**9,
    starve: bytes | None = None,
) -> Any:
    """Answer ``aggregate3``: too many calls fail the whole, ``starve`` fails without a word."""
    (asked,) = decode(["(address,bool,bytes)[]"], bytes.fromhex(data[10:]))
    if len(asked) > largest:
        return Refusal(code=-32000, message="out of gas")
    results = []
    for to, _, payload in asked:
        answer = alone({"to": to, "data": "0x" + payload.hex()})
        if payload == starve:
            results.append((False, b""))
        elif isinstance(answer, Refusal):
            results.append((False, bytes.fromhex(str(answer.data)[2:])))
        else:
            results.append((True, bytes.fromhex(answer[2:])))
    return "0x" + encode(["(bool,bytes)[]"], [results]).hex()
