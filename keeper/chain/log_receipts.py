"""Logs of one block from its receipts, where a node refuses to tell so many by themselves.

Some tell ten thousand logs for one question and no more. Where gas is cheap anybody can fill a
block with more than that of one contract, which must not hide what else is in it.
"""

import msgspec

from keeper.chain.classify import Meaning, meaning
from keeper.chain.jsonrpc import UNREADABLE, NodeError, Reply
from keeper.chain.rpc import Rpc
from keeper.core.chain import LogFilter
from keeper.core.errors import TransientError

_LOGS = "eth_getLogs"
_RECEIPTS = "eth_getBlockReceipts"


class _Receipt(msgspec.Struct, frozen=True):
    """Of a receipt what is read here: its logs, as they stand."""

    logs: tuple[msgspec.Raw, ...]


class _Sight(msgspec.Struct, frozen=True):
    """Of a log what a filter asks for."""

    address: str
    topics: tuple[str, ...]


async def from_receipts(rpc: Rpc, wanted: LogFilter, block: str, reply: Reply) -> Reply:
    """Return a reply about a block's logs, or the same from its receipts where there are too many.

    ``block`` is a number in hex or a hash. Where the node tells no receipts the reply is as it was.
    """
    if not isinstance(reply, NodeError) or meaning(_LOGS, reply) is not Meaning.TOO_WIDE:
        return reply
    told = await rpc.ask(_RECEIPTS, block)
    if isinstance(told, NodeError) or bytes(told) == b"null":
        return reply
    receipts = rpc.decode(list[_Receipt], _RECEIPTS, told)
    logs = [log for one in receipts for log in one.logs if _is_wanted(log, wanted)]
    return msgspec.Raw(b"[" + b",".join(map(bytes, logs)) + b"]")


def _is_wanted(log: msgspec.Raw, wanted: LogFilter) -> bool:
    """Return whether a log is of a filter. Raises TransientError when it is none."""
    try:
        sight = msgspec.json.decode(log, type=_Sight)
    except UNREADABLE as e:
        raise TransientError(f"expected the logs of a receipt, found {e}") from e
    if sight.address.lower() not in wanted.addresses:
        return False
    return not wanted.topics or any(one.lower() in wanted.topics for one in sight.topics[:1])
