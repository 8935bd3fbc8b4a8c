"""Leave an account alone for a while after a failure, never for good.

The wait doubles with each failure in a row of the same cause, and is forgotten as soon as a price
moves: a failure at one price says little about the next, and one of a cause little about another.
"""

from enum import Enum, auto

from msgspec import Struct

from keeper.core.lending import AccountRef
from keeper.core.plan import Intent, Outcome, Status

FIRST_WAIT_BLOCKS = 1
LONGEST_WAIT_BLOCKS = 64


class Cause(Enum):
    """Why an attempt came to nothing."""

    REHEARSAL = auto()
    """It failed before it was signed."""
    REFUSAL = auto()
    """The lane would not have it."""
    REVERT = auto()
    """It cost its gas."""


class _Wait(Struct, frozen=True, kw_only=True):
    until: int
    blocks: int


class Backoff:
    """Accounts that failed lately. The executor's loop and the settling one call it."""

    def __init__(self) -> None:
        """Make a back-off that holds nobody back."""
        self._waits: dict[AccountRef, dict[Cause, _Wait]] = {}

    def failed(self, ref: AccountRef, cause: Cause, block: int) -> None:
        """Hold the account back, twice as long as the last time for the same cause."""
        waits = self._waits.setdefault(ref, {})
        before = waits.get(cause)
        blocks = FIRST_WAIT_BLOCKS if before is None else before.blocks * 2
        blocks = min(blocks, LONGEST_WAIT_BLOCKS)
        waits[cause] = _Wait(until=block + blocks, blocks=blocks)

    def settled(self, intent: Intent, outcome: Outcome) -> None:
        """Hear of an outcome: whoever reverted is held back from the block of that on."""
        for ref, one in zip(intent.refs, outcome.each, strict=True):
            if one.status is Status.REVERTED and one.block is not None:
                self.failed(ref, Cause.REVERT, one.block)

    def until(self, ref: AccountRef, block: int) -> int | None:
        """Return the block until which the account waits, None when it need not."""
        last = max((one.until for one in self._waits.get(ref, {}).values()), default=block)
        return last if block < last else None

    def forget(self) -> None:
        """Let everybody try again: a price has moved."""
        self._waits.clear()
