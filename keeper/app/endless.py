"""An exchange that never runs short: any amount at the oracle's prices.

It exists for comparison only. What would be liquidated on it and is not on the real pools is left
for what those lack: depth, a better price, or a pool at all.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Self

from msgspec import Struct

from keeper.core.lending import Valuation
from keeper.core.ports import Hop, Moved
from keeper.core.units import WAD, ZERO_ADDRESS, Address

VENUE = "oracle"


class Exchanged(Struct, frozen=True, kw_only=True):
    """What one swap moves, raw units."""

    amount_in: int
    amount_out: int


class EndlessBook(Struct, frozen=True, kw_only=True):
    """A book (``SwapBook``) that swaps a market's assets at its oracle's prices."""

    valuation: Valuation
    native: Address

    @property
    def intermediates(self) -> tuple[Address, ...]:
        """Return none: every pair is swapped directly."""
        return ()

    def hops(self, token_in: Address, token_out: Address) -> tuple[Hop, ...]:
        """Return the one way between two tokens that have a price."""
        if not self._price(token_in) or not self._price(token_out):
            return ()
        hop = Hop(venue=VENUE, pool=ZERO_ADDRESS, token_in=token_in, token_out=token_out)
        return (hop,)

    def sell(self, hop: Hop, amount_in: int) -> Exchanged | None:
        """Return what selling gives, rounded down; None when that is nothing."""
        rate = self._rate(hop)
        amount_out = amount_in * rate.numerator // rate.denominator
        return Exchanged(amount_in=amount_in, amount_out=amount_out) if amount_out else None

    def buy(self, hop: Hop, amount_out: int) -> Exchanged | None:
        """Return what buying takes, rounded up."""
        rate = self._rate(hop)
        amount_in = -(-amount_out * rate.denominator // rate.numerator)
        return Exchanged(amount_in=amount_in, amount_out=amount_out)

    def rate(self, hop: Hop, moved: Moved | None) -> float:  # noqa: ARG002 - it never worsens
        """Return what the next raw unit sold would bring."""
        return float(self._rate(hop))

    def after(self, hop: Hop, moved: Moved) -> Self:  # noqa: ARG002 - nothing moves it
        """Return the same book."""
        return self

    def repriced(self, factors: Mapping[Address, Fraction]) -> Self:  # noqa: ARG002 - as above
        """Return the same book: its prices are the oracle's already."""
        return self

    def _rate(self, hop: Hop) -> Fraction:
        return self._price(hop.token_in) / self._price(hop.token_out)

    def _price(self, token: Address) -> Fraction:
        """Return what one raw unit is worth, 0 where nobody says."""
        if token == self.native:
            return Fraction(self.valuation.native_price, WAD)
        value = self.valuation.assets.get(token)
        return Fraction(0) if value is None else Fraction(value.price, value.unit)
