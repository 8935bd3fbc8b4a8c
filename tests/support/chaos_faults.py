"""What may go wrong between a keeper and its nodes, chosen by chance."""

from collections.abc import Callable
from random import Random
from typing import Any, Final

from keeper.devnet.rpc import Rpc
from tests.support.fault_proxy import (
    HTML,
    Alter,
    Backwards,
    Body,
    Cut,
    Deaf,
    Delay,
    Drop,
    Fault,
    FaultProxy,
    Lie,
    Mute,
    Refuse,
    Removed,
    Stall,
    Twice,
    WrongId,
)

METHODS: Final = (
    None,
    "eth_call",
    "eth_getLogs",
    "eth_getBlockByNumber",
    "eth_simulateV1",
    "eth_sendRawTransaction",
    "eth_getTransactionReceipt",
    "eth_getTransactionCount",
)


def spoil(proxy: FaultProxy, chance: Random) -> str:
    """Let a few answers of a node go wrong; return what that is."""
    fault, method, count = _fault(chance), chance.choice(METHODS), chance.randint(1, 3)
    if isinstance(fault, Mute | Twice | Backwards | Removed):
        method = "eth_subscription"
    proxy.spoil(fault, method=method, count=count)
    return f"{type(fault).__name__} of {method}, {count} times"


def _fault(chance: Random) -> Fault:
    """Return a fault; push faults befall what the node tells by itself."""
    return chance.choice(
        [
            Stall(),
            Drop(),
            Deaf(),
            HTML,
            Body(text="slow down", status=429, headers={"Retry-After": "1"}),
            Cut(),
            WrongId(),
            Delay(seconds=0.2),
            Refuse(code=-32000, message="internal error"),
            Refuse(code=-32005, message="limit exceeded"),
            Mute(),
            Twice(),
            Backwards(of=2),
            Removed(),
        ]
    )


def lag(proxy: FaultProxy, rpc: Rpc, blocks: int, count: int) -> None:
    """Have a node answer as it would have so many blocks ago, for a while."""
    height = int(rpc.call("eth_blockNumber"), 16) - blocks
    proxy.spoil(Lie(alter=_behind(rpc, height)), count=count)


def _behind(rpc: Rpc, height: int) -> Alter:
    """Return what makes an answer that of a node whose head is ``height``."""

    def to_come(found: Any) -> bool:
        if not isinstance(found, dict):
            return False
        number = found.get("blockNumber", found.get("number"))
        return number is not None and int(number, 16) > height

    def behind(asked: list[Any], told: Any) -> Any:
        match asked:
            case ["eth_blockNumber"]:
                return hex(height)
            case ["eth_getBlockByNumber", "latest" | "pending", whole]:
                return rpc.call("eth_getBlockByNumber", hex(height), whole)
            case ["eth_getTransactionCount", who, "latest"]:
                return rpc.call("eth_getTransactionCount", who, hex(height))
            case [*_, {"blockHash": at}]:
                block = rpc.call("eth_getBlockByHash", at, False)
                return Refuse(code=-32000, message="header not found") if to_come(block) else told
            case ["eth_getLogs", *_]:
                return [one for one in told if not to_come(one)]
        return None if to_come(told) else told

    return behind


def lie(proxy: FaultProxy, chance: Random) -> str:
    """Have a node say what is not so, where a quorum is asked; return about what."""
    method, alter = chance.choice(sorted(LIES.items()))
    proxy.spoil(
        Lie(alter=lambda asked, told: alter(told) if told and asked[0] == method else told),
        method=method,
        count=chance.randint(1, 8),
    )
    return f"a lie about {method}"


def _costlier(blocks: Any) -> Any:
    for call in blocks[0]["calls"]:
        call["gasUsed"] = hex(int(call["gasUsed"], 16) + 1)
    return blocks


LIES: Final[dict[str, Callable[[Any], Any]]] = {
    "eth_getTransactionReceipt": lambda told: told | {"status": "0x0", "gasUsed": "0x1"},
    "eth_getTransactionCount": lambda told: hex(int(told, 16) + 2),
    "eth_getTransactionByHash": lambda _: None,
    "eth_getBlockByNumber": lambda told: told | {"baseFeePerGas": "0x7"},
    "eth_getBalance": lambda _: "0x0",
    "eth_simulateV1": _costlier,
}
