"""A pair's reserves and its swaps.

Mirrors v2-periphery 1.1.0-beta.0 ``UniswapV2Library.getAmountOut`` and ``getAmountIn`` with the fee
as a parameter, and the bounds of v2-core 1.0.1 ``UniswapV2Pair.swap`` and ``_update``. The
library's 997/1000 is 3000 hundredths of a basis point here: a fraction that is only extended.
"""

from fractions import Fraction
from math import isqrt
from typing import Final

from msgspec import Struct

from keeper.core.errors import InvariantError
from keeper.core.fixed_point import mul_div_floor
from keeper.core.units import Address
from keeper.core.values import replace

FEE_UNIT: Final = 1_000_000
"""Fees are in hundredths of a basis point."""
MAX_RESERVE: Final = 2**112 - 1
"""What ``_update`` can store; it reverts above."""


class PairSwap(Struct, frozen=True, kw_only=True):
    """What a swap moves, and the reserves it leaves."""

    amount_in: int
    amount_out: int
    reserve0: int
    reserve1: int


class PairState(Struct, frozen=True, kw_only=True):
    """A pair at one block, or after swaps already counted on."""

    address: Address
    token0: Address
    token1: Address
    fee: int
    """Hundredths of a basis point of the amount in."""
    reserve0: int
    reserve1: int

    def exact_in(self, amount: int, *, zero_for_one: bool) -> PairSwap | None:
        """Return the swap that sells ``amount``; None when it buys nothing or overflows."""
        _require_positive(amount)
        reserve_in, reserve_out = self._reserves(zero_for_one=zero_for_one)
        counted = amount * (FEE_UNIT - self.fee)
        out = mul_div_floor(counted, reserve_out, reserve_in * FEE_UNIT + counted)
        return self._swap(amount, out, zero_for_one=zero_for_one)

    def exact_out(self, amount: int, *, zero_for_one: bool) -> PairSwap | None:
        """Return the swap that buys ``amount``; None when the pair has no more than that."""
        _require_positive(amount)
        reserve_in, reserve_out = self._reserves(zero_for_one=zero_for_one)
        if amount >= reserve_out:
            return None
        kept = (reserve_out - amount) * (FEE_UNIT - self.fee)
        paid = reserve_in * amount * FEE_UNIT // kept + 1
        return self._swap(paid, amount, zero_for_one=zero_for_one)

    def after(self, swap: PairSwap) -> "PairState":
        """Return the pair as the swap leaves it, if it holds what it reports."""
        return replace(self, reserve0=swap.reserve0, reserve1=swap.reserve1)

    def at_ratio(self, ratio: Fraction) -> "PairState | None":
        """Return the pair once its price has moved by a ratio, with the product of its reserves.

        None when it holds so little that a reserve would be empty.
        """
        product = self.reserve0 * self.reserve1
        square = product * self.reserve1 * ratio.numerator
        reserve1 = isqrt(square // (self.reserve0 * ratio.denominator))
        if not 0 < reserve1 <= product:
            return None
        return replace(self, reserve0=product // reserve1, reserve1=reserve1)

    def _reserves(self, *, zero_for_one: bool) -> tuple[int, int]:
        pair = (self.reserve0, self.reserve1)
        return pair if zero_for_one else pair[::-1]

    def _swap(self, paid: int, out: int, *, zero_for_one: bool) -> PairSwap | None:
        reserve_in, reserve_out = self._reserves(zero_for_one=zero_for_one)
        if out == 0 or reserve_in + paid > MAX_RESERVE:
            return None
        after = (reserve_in + paid, reserve_out - out)
        reserve0, reserve1 = after if zero_for_one else after[::-1]
        return PairSwap(amount_in=paid, amount_out=out, reserve0=reserve0, reserve1=reserve1)


def _require_positive(amount: int) -> None:
    if amount <= 0:
        msg = f"swap: expected a positive amount, found {amount}"
        raise InvariantError(msg)
