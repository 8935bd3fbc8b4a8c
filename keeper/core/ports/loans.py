"""What rooms ask of a lender within one transaction."""

from collections.abc import Collection, Sequence
from typing import Protocol

from keeper.core.chain import BlockRef, Log
from keeper.core.plan import Funding
from keeper.core.units import Address


class LoanBook(Protocol):
    """What a lender can lend at one block. Immutable, pure."""

    def most(self, asset: Address) -> int:
        """Return the most that can be borrowed, raw units; 0 when nothing can."""
        ...

    def quote(self, asset: Address, amount: int) -> Funding | None:
        """Return the loan and its fee, or None when the lender cannot lend that much."""
        ...


class FlashSource(Protocol):
    """A lender within one transaction."""

    @property
    def name(self) -> str:
        """Return the source's name in plans and books."""
        ...

    async def snapshot(self, assets: Collection[Address], block: BlockRef) -> LoanBook:
        """Read what can be borrowed of each asset, as of ``block``."""
        ...

    def fee_paid(self, logs: Sequence[Log]) -> tuple[Address, int] | None:
        """Return the fee's asset and raw amount from a transaction's logs, None without a loan."""
        ...
