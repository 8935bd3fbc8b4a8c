"""What tending works with, and how long it waits."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from keeper.core.chain import BlockRef, StateOverride
from keeper.core.plan import Intent
from keeper.core.ports import Journal, Simulator, Wire
from keeper.core.units import Address
from keeper.executor.flight import Flight
from keeper.executor.lanes.lane import Lane
from keeper.executor.policy import Limits
from keeper.executor.settler import Auditor
from keeper.executor.signing import SigningDesk
from keeper.executor.totals import Share

NextBlock = Callable[[BlockRef], int]
"""Tells the block after a head, or after the newest one: in no earlier one can anything land."""


def after(head: BlockRef) -> int:
    """Return the block after a head that is the newest."""
    return head.number + 1


class Patience(Struct, frozen=True, kw_only=True):
    """When a transaction that is not in a block yet is overdue."""

    replace_after_blocks: int
    """Blocks after its target before it is replaced or cancelled; 0 is at its target."""
    block_time_s: int
    halt_on_foreign_nonce: bool


class Means(Struct, frozen=True, kw_only=True):
    """What tending works with."""

    wire: Wire
    simulator: Simulator
    journal: Journal
    flight: Flight
    desk: SigningDesk
    lane: Lane
    limits: Limits
    auditor_of: Callable[[str], Auditor]
    on_stuck: Callable[[Intent, Exception], None]
    """Hears of an intent whose deployment cannot read what became of it, or would."""
    overrides: Mapping[Address, StateOverride]
    share: Share | None = None
    """Of the budgets over all chains; None where there is one chain."""
