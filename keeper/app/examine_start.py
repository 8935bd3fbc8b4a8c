"""Hold the block that a deployment is read from against the chain: who came before is missed."""

from typing import Any, Final

from keeper.core.chain import BlockRef
from keeper.core.errors import KeeperError, RefusedError, StaleError, TransientError
from keeper.core.ports import ProtocolAdapter, Reader
from keeper.core.units import Address

LOOKED_BACK: Final = 10_000
"""Blocks before the first one that are asked for somebody's account."""

_UNTOLD = (RefusedError, StaleError, TransientError)


async def examine_start(
    reader: Reader,
    adapter: ProtocolAdapter[Any, Any],
    market: object,
    head: BlockRef,
    root: Address | None,
) -> str:
    """Say what is known of a deployment's first block, at which its ``root`` contract should come.

    Raises KeeperError for one that is not there yet, and for one that leaves somebody out.
    """
    start = adapter.start_block
    if start > head.number:
        msg = f"expected at most the head, {head.number}, found {start}"
        raise KeeperError(msg)
    if start == 0:
        return "0"
    first = max(start - LOOKED_BACK, 0)
    try:
        logs = await reader.logs_between(adapter.log_filter(market), first, start - 1)
    except _UNTOLD as error:
        return f"{start}; not known whether anybody was there before: {error}"
    for log in logs:
        for ref in adapter.touched(market, [log]).accounts:
            expected = "expected no account in a block before it, or it would be missed"
            msg = f"{start}: {expected}, found {ref.account} in block {log.block_number}"
            raise KeeperError(msg)
    return f"{start}{await _age(reader, root, start)}"


async def _age(reader: Reader, root: Address | None, start: int) -> str:
    """Return a remark on a contract that was there before, where the node knows that."""
    if root is None:
        return ""
    try:
        is_older = bool(await reader.code(root, await reader.block(start - 1)))
    except _UNTOLD:
        return ""
    if not is_older:
        return f"; {root} came then or later"
    return f"; {root} is older, without an account in the {LOOKED_BACK:,} blocks before"
