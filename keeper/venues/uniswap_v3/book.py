"""Quotes over a set of pools at one block. Implements ``core.ports.SwapBook``."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isqrt
from typing import cast

from keeper.core.ports import Hop, Path, SwapQuote
from keeper.core.units import Address
from keeper.venues.uniswap_v3.pool import PoolState, Swap

Pair = tuple[Address, Address]

ONE = Fraction(1)


def pair_of(token_a: Address, token_b: Address) -> Pair:
    """Return the two tokens in the order of a pool: by address."""
    return (token_a, token_b) if token_a < token_b else (token_b, token_a)


@dataclass(frozen=True, slots=True, kw_only=True)
class UniswapV3Book:
    """Pools as they stood at one block, or after swaps already counted on."""

    venue: str
    pools: Mapping[Address, PoolState]
    by_pair: Mapping[Pair, tuple[Address, ...]]
    intermediates: tuple[Address, ...] = ()
    """Tokens that a path of two hops may go through."""

    def paths(self, token_in: Address, token_out: Address) -> tuple[Path, ...]:
        """Return every direct path, then every path over one intermediate."""
        direct = tuple((hop,) for hop in self._hops(token_in, token_out))
        over = tuple(
            (first, second)
            for middle in self.intermediates
            if middle not in (token_in, token_out)
            for first in self._hops(token_in, middle)
            for second in self._hops(middle, token_out)
        )
        return direct + over

    def exact_in(self, path: Path, amount_in: int) -> SwapQuote | None:
        """Return what selling ``amount_in`` along the path gives, None when a pool cannot say."""
        amounts, moved = [amount_in], []
        for hop in path:
            swap = self._sell(hop, amounts[-1])
            if swap is None:
                return None
            amounts.append(swap.amount_out)
            moved.append(swap)
        return SwapQuote(path=path, amounts=tuple(amounts), moved=tuple(moved))

    def exact_out(self, path: Path, amount_out: int) -> SwapQuote | None:
        """Return what buying ``amount_out`` along the path takes, None when a pool cannot say."""
        amounts, moved = [amount_out], []
        for hop in reversed(path):
            swap = self._buy(hop, amounts[-1])
            if swap is None:
                return None
            amounts.append(swap.amount_in)
            moved.append(swap)
        return SwapQuote(path=path, amounts=tuple(amounts[::-1]), moved=tuple(moved[::-1]))

    def after(self, quote: SwapQuote) -> "UniswapV3Book":
        """Return the book as the quoted swaps leave it."""
        swaps = cast("tuple[Swap, ...]", quote.moved)
        moved = {
            hop.pool: self.pools[hop.pool].after(swap)
            for hop, swap in zip(quote.path, swaps, strict=True)
        }
        return replace(self, pools={**self.pools, **moved})

    def repriced(self, factors: Mapping[Address, Fraction]) -> "UniswapV3Book":
        """Return the book with every pool at the price that its tokens' values move to.

        ``factors`` are each token's new value over its old one; others stay. A pool whose
        price would leave the known band is left out.
        """
        moved = {}
        for key, pool in self.pools.items():
            ratio = factors.get(pool.token0, ONE) / factors.get(pool.token1, ONE)
            square = pool.sqrt_price**2 * ratio.numerator // ratio.denominator
            there = pool if ratio == 1 else pool.at_price(isqrt(square))
            if there is not None:
                moved[key] = there
        kept = {pair: tuple(p for p in pools if p in moved) for pair, pools in self.by_pair.items()}
        return replace(self, pools=moved, by_pair=kept)

    def _hops(self, token_in: Address, token_out: Address) -> Iterable[Hop]:
        for pool in self.by_pair.get(pair_of(token_in, token_out), ()):
            yield Hop(venue=self.venue, pool=pool, token_in=token_in, token_out=token_out)

    def _sell(self, hop: Hop, amount: int) -> Swap | None:
        """Return the swap, None also for an amount too small to buy a single raw unit."""
        swap = self.pools[hop.pool].exact_in(amount, zero_for_one=hop.token_in < hop.token_out)
        return None if swap is None or swap.amount_out == 0 else swap

    def _buy(self, hop: Hop, amount: int) -> Swap | None:
        return self.pools[hop.pool].exact_out(amount, zero_for_one=hop.token_in < hop.token_out)
