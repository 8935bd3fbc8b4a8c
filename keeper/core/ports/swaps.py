"""What rooms ask of a place to swap tokens."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from keeper.core.chain import BlockRef
from keeper.core.units import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One pool to swap through, in one direction."""

    venue: str
    pool: Address
    token_in: Address
    token_out: Address


Path = tuple[Hop, ...]
"""Pools to swap through one after the other; each hop starts with the token the last one gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapQuote:
    """What swapping along a path moves, to the raw unit."""

    path: Path
    amounts: tuple[int, ...]
    """What goes into the first hop, then what comes out of each."""
    moved: tuple[object, ...]
    """Where each pool is left, for the book that quoted it; unopened by others."""

    @property
    def amount_in(self) -> int:
        """Raw units of the first token."""
        return self.amounts[0]

    @property
    def amount_out(self) -> int:
        """Raw units of the last token."""
        return self.amounts[-1]


class SwapBook(Protocol):
    """The pools of a venue at one block, or after swaps already counted on. Immutable, pure."""

    def paths(self, token_in: Address, token_out: Address) -> tuple[Path, ...]:
        """Return every path that the book knows between two tokens."""
        ...

    def exact_in(self, path: Path, amount_in: int) -> SwapQuote | None:
        """Return what selling ``amount_in`` gives, None when the pools' known range ends."""
        ...

    def exact_out(self, path: Path, amount_out: int) -> SwapQuote | None:
        """Return what buying ``amount_out`` takes, None when the pools' known range ends."""
        ...

    def after(self, quote: SwapQuote) -> "SwapBook":
        """Return the book as the quoted swap leaves it."""
        ...

    def repriced(self, factors: Mapping[Address, Fraction]) -> "SwapBook":
        """Return the book as arbitrage would leave it once tokens' values move by factors."""
        ...


class SwapVenue(Protocol):
    """A place to swap tokens."""

    @property
    def name(self) -> str:
        """Return the venue's name in plans and books."""
        ...

    async def snapshot(
        self, pairs: Collection[tuple[Address, Address]], block: BlockRef
    ) -> SwapBook:
        """Read every pool that may serve the pairs (token in, token out), as of ``block``.

        A pair without a pool has no path in the book.
        """
        ...
