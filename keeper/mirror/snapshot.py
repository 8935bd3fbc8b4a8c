"""What the mirror holds of one deployment at one block."""

from typing import Generic, TypeVar

from msgspec import Struct

from keeper.core.chain import BlockRef, Log
from keeper.core.lending import AccountRef
from keeper.mirror.positions import Positions

M = TypeVar("M")
P = TypeVar("P")


class Snapshot(Struct, Generic[M, P], frozen=True, kw_only=True):
    """Every account with debt, and its market, as read from the chain at ``block``."""

    block: BlockRef
    market: M
    positions: Positions[P]
    changed: frozenset[AccountRef] | None = None
    """Accounts that may differ from the snapshot before; None when any may."""
    since: int | None = None
    """The first block that the snapshot before had not; None when nobody can say."""
    logs: tuple[Log, ...] = ()
    """What the protocol logged from that block on; of a resumed mirror, since its book."""
