"""Who a node is: its chain id, its head and a block that we know, asked in one message."""

from typing import TypeVar

import msgspec
from msgspec import Struct

from keeper.chain.classify import Meaning, meaning, wished_wait_s
from keeper.chain.data_fees import Rollup
from keeper.chain.errors import RateLimitedError
from keeper.chain.jsonrpc import UNREADABLE, NodeError, Reply, Request
from keeper.chain.records import BlockRecord, quantity
from keeper.chain.transport import Transport
from keeper.core.chain import BlockRef
from keeper.core.errors import ConfigError, TransientError

T = TypeVar("T")

_CHAIN_ID = "eth_chainId"
_BLOCK = "eth_getBlockByNumber"


class OtherChainError(ConfigError):
    """The node is on another chain than the one configured."""


class Sight(Struct, frozen=True, kw_only=True):
    """What a node of our chain said of itself."""

    head: BlockRef
    at_height: BlockRef | None
    """The block asked for, None when it has none or none was asked for."""


async def look_at(
    node: Transport,
    height: int | None,
    *,
    chain_id: int,
    rollup: Rollup | None,
    timeout_s: float,
) -> Sight:
    """Ask a node once; raise TransientError when it does not say, and OtherChainError."""
    requests = [Request(method=_CHAIN_ID), Request(method=_BLOCK, params=("latest", False))]
    if height is not None:
        requests.append(Request(method=_BLOCK, params=(hex(height), False)))
    told, head, *known = await node.batch(requests, timeout_s=timeout_s)
    found = quantity(_decoded(node, _CHAIN_ID, told, str))
    if found != chain_id:
        raise OtherChainError(f"chain id: expected {chain_id}, found {found}")
    return Sight(
        head=_decoded(node, _BLOCK, head, BlockRecord).value(rollup),
        at_height=_block(node, known[0], rollup) if known else None,
    )


def _block(node: Transport, reply: Reply, rollup: Rollup | None) -> BlockRef | None:
    if not isinstance(reply, NodeError) and bytes(reply) == b"null":
        return None
    return _decoded(node, _BLOCK, reply, BlockRecord).value(rollup)


def _decoded(node: Transport, method: str, reply: Reply, kind: type[T]) -> T:
    if isinstance(reply, NodeError):
        message = f"{node.name}: {method}: error {reply.code}: {reply.message}"
        if meaning(method, reply) is Meaning.LIMITED:
            raise RateLimitedError(message, wished_wait_s(reply.data))
        raise TransientError(message)
    try:
        return msgspec.json.decode(reply, type=kind)
    except UNREADABLE as e:
        msg = f"{node.name}: {method}: expected the result of the specification, found {e}"
        raise TransientError(msg) from e
