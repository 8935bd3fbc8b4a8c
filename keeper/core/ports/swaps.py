"""What rooms ask of a place to swap tokens."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from fractions import Fraction
from typing import Protocol

from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.units import Address


class HopKind(StrEnum):
    """How the executor goes through a hop."""

    UNISWAP_V3 = "uniswap_v3"
    UNISWAP_V2 = "uniswap_v2"


class Hop(Struct, frozen=True, kw_only=True):
    """One pool to swap through, in one direction."""

    venue: str
    pool: Address
    token_in: Address
    token_out: Address
    kind: HopKind = HopKind.UNISWAP_V3
    fee: int = 0
    """Of a pool that is told its fee by whoever swaps, hundredths of a basis point."""


Path = tuple[Hop, ...]
"""Pools to swap through one after the other; each hop starts with the token the last one gave."""


class Moved(Protocol):
    """What a swap against one pool moves; the rest of it is the business of its book."""

    @property
    def amount_in(self) -> int:
        """Raw units that go in."""
        ...

    @property
    def amount_out(self) -> int:
        """Raw units that come out."""
        ...


class SwapQuote(Struct, frozen=True, kw_only=True):
    """What swapping along a path moves, to the raw unit."""

    path: Path
    amounts: tuple[int, ...]
    """What goes into the first hop, then what comes out of each."""
    moved: tuple[Moved, ...]
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

    @property
    def intermediates(self) -> tuple[Address, ...]:
        """Return the tokens that a path of two hops may go through."""
        ...

    def hops(self, token_in: Address, token_out: Address) -> tuple[Hop, ...]:
        """Return every pool that the book knows between two tokens."""
        ...

    def sell(self, hop: Hop, amount_in: int) -> Moved | None:
        """Return what selling ``amount_in`` gives.

        None when the pool's known range ends, or when it gives not a single raw unit.
        """
        ...

    def buy(self, hop: Hop, amount_out: int) -> Moved | None:
        """Return what buying ``amount_out`` takes, None when the pool's known range ends."""
        ...

    def rate(self, hop: Hop, moved: Moved | None) -> float:
        """Return what the next raw unit sold would bring, before anything or once ``moved``.

        A float: it proposes how to divide an amount and decides nothing.
        """
        ...

    def after(self, hop: Hop, moved: Moved) -> "SwapBook":
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

    def held(self, pairs: Collection[tuple[Address, Address]]) -> SwapBook | None:
        """Return a snapshot of what was read last, of whatever block; None when some is missing."""
        ...

    async def refresh(self, block: BlockRef) -> None:
        """Bring what was read before to ``block``, so that a snapshot there has less to read."""
        ...
