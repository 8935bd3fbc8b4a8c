"""What an earlier run, or head, knew of a deployment's accounts, and whether it still serves."""

from collections.abc import Collection

from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.lending import NOWHERE, AccountRef, Scope
from keeper.core.ports import ProtocolAdapter, Reader
from keeper.core.screening import Opening
from keeper.core.units import Hash32
from keeper.mirror.known import scope_of
from keeper.mirror.snapshot import M, P


class Checkpoint(Struct, frozen=True, kw_only=True):
    """A block up to which ``accounts`` names every account of ``scope`` that may owe something."""

    block: int
    hash: Hash32
    accounts: Collection[AccountRef]
    scope: Scope = NOWHERE


async def is_canonical(anchor: Checkpoint, reader: Reader, head: BlockRef) -> bool:
    """Return whether the checkpoint's block is an ancestor of ``head``."""
    if anchor.block > head.number:
        return False
    return (await reader.block(anchor.block)).hash == anchor.hash


async def serves(
    anchor: Checkpoint, adapter: ProtocolAdapter[M, P], reader: Reader, head: BlockRef, market: M
) -> bool:
    """Return whether all accounts of ``market`` up to the checkpoint's block are known."""
    scope = scope_of(adapter, market)
    if anchor.scope.since > scope.since or not await is_canonical(anchor, reader, head):
        return False
    new = scope.places - anchor.scope.places
    return not new or new <= await _opened(adapter, reader, market, anchor.block + 1, head.number)


async def _opened(
    adapter: ProtocolAdapter[M, P], reader: Reader, market: M, since: int, until: int
) -> frozenset[str]:
    """Return the places where nobody was before a range of blocks."""
    if not isinstance(adapter, Opening) or since > until:
        return frozenset()
    logs = await reader.logs_between(adapter.opening_filter(market), since, until)
    return adapter.opened(market, logs)
