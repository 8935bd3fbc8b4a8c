"""Quotes over a set of pools at one block. Implements ``core.ports.SwapBook``."""

from collections.abc import Mapping
from fractions import Fraction
from math import isqrt
from typing import cast

from msgspec import Struct

from keeper.core.ports import Hop, Moved
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.venues.pairs import Pair, pair_of
from keeper.venues.uniswap_v3.pool import PoolState
from keeper.venues.uniswap_v3.sqrt_price_math import Q96
from keeper.venues.uniswap_v3.swap_math import FEE_UNIT
from keeper.venues.uniswap_v3.walk import Swap

ONE = Fraction(1)


class UniswapV3Book(Struct, frozen=True, kw_only=True):
    """Pools as they stood at one block, or after swaps already counted on."""

    venue: str
    pools: Mapping[Address, PoolState]
    by_pair: Mapping[Pair, tuple[Address, ...]]
    intermediates: tuple[Address, ...] = ()
    """Tokens that a path of two hops may go through."""

    def hops(self, token_in: Address, token_out: Address) -> tuple[Hop, ...]:
        """Return a hop for each fee tier of the pair."""
        return tuple(
            Hop(venue=self.venue, pool=pool, token_in=token_in, token_out=token_out)
            for pool in self.by_pair.get(pair_of(token_in, token_out), ())
        )

    def sell(self, hop: Hop, amount_in: int) -> Swap | None:
        """Return the swap, None also for an amount too small to buy a single raw unit."""
        swap = self.pools[hop.pool].exact_in(amount_in, zero_for_one=hop.token_in < hop.token_out)
        return None if swap is None or swap.amount_out == 0 else swap

    def buy(self, hop: Hop, amount_out: int) -> Swap | None:
        """Return the swap, None when the pool cannot say."""
        return self.pools[hop.pool].exact_out(amount_out, zero_for_one=hop.token_in < hop.token_out)

    def rate(self, hop: Hop, moved: Moved | None) -> float:
        """Return the price where the swap ends, less the fee."""
        pool = self.pools[hop.pool]
        sqrt_price = pool.sqrt_price if moved is None else cast("Swap", moved).sqrt_price
        price = (sqrt_price / Q96) ** 2
        kept = 1 - pool.fee / FEE_UNIT
        return price * kept if hop.token_in < hop.token_out else kept / price

    def after(self, hop: Hop, moved: Moved) -> "UniswapV3Book":
        """Return the book as the quoted swap leaves it."""
        pool = self.pools[hop.pool].after(cast("Swap", moved))
        return replace(self, pools={**self.pools, hop.pool: pool})

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
