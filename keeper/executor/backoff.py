"""Leave an account alone for a while after a failure, never for good.

The wait doubles with each failure in a row and is forgotten as soon as a price moves: a failure
at one price says little about the next.
"""

from dataclasses import dataclass

from keeper.core.lending import AccountRef

FIRST_WAIT_BLOCKS = 1
LONGEST_WAIT_BLOCKS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wait:
    until: int
    blocks: int


class Backoff:
    """Accounts that failed lately. Only the executor's loop calls it."""

    def __init__(self) -> None:
        """Make a back-off that holds nobody back."""
        self._waits: dict[AccountRef, _Wait] = {}

    def failed(self, ref: AccountRef, block: int) -> None:
        """Hold the account back, twice as long as the last time."""
        before = self._waits.get(ref)
        blocks = FIRST_WAIT_BLOCKS if before is None else before.blocks * 2
        blocks = min(blocks, LONGEST_WAIT_BLOCKS)
        self._waits[ref] = _Wait(until=block + blocks, blocks=blocks)

    def until(self, ref: AccountRef, block: int) -> int | None:
        """Return the block until which the account waits, None when it need not."""
        wait = self._waits.get(ref)
        return wait.until if wait is not None and block < wait.until else None

    def forget(self) -> None:
        """Let everybody try again: a price has moved."""
        self._waits.clear()
