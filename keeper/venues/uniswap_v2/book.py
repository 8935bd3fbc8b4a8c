"""Quotes over a set of pairs at one block. Implements ``core.ports.SwapBook``."""

from collections.abc import Mapping
from fractions import Fraction
from typing import cast

from msgspec import Struct

from keeper.core.ports import Hop, HopKind, Moved
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.venues.pairs import Pair, pair_of
from keeper.venues.uniswap_v2.pair import FEE_UNIT, PairState, PairSwap

ONE = Fraction(1)


class UniswapV2Book(Struct, frozen=True, kw_only=True):
    """Pairs as they stood at one block, or after swaps already counted on."""

    venue: str
    pairs: Mapping[Pair, PairState]
    intermediates: tuple[Address, ...] = ()
    """Tokens that a path of two hops may go through."""

    def hops(self, token_in: Address, token_out: Address) -> tuple[Hop, ...]:
        """Return the hop through the pair, if there is one."""
        state = self.pairs.get(pair_of(token_in, token_out))
        if state is None:
            return ()
        return (
            Hop(
                venue=self.venue,
                pool=state.address,
                token_in=token_in,
                token_out=token_out,
                kind=HopKind.UNISWAP_V2,
                fee=state.fee,
            ),
        )

    def sell(self, hop: Hop, amount_in: int) -> PairSwap | None:
        """Return the swap, None when it buys nothing."""
        return self._state(hop).exact_in(amount_in, zero_for_one=hop.token_in < hop.token_out)

    def buy(self, hop: Hop, amount_out: int) -> PairSwap | None:
        """Return the swap, None when the pair has no more than that."""
        return self._state(hop).exact_out(amount_out, zero_for_one=hop.token_in < hop.token_out)

    def rate(self, hop: Hop, moved: Moved | None) -> float:
        """Return what one more unit in the same swap would bring."""
        state = self._state(hop)
        reserves = (state.reserve0, state.reserve1)
        reserve_in, reserve_out = reserves if hop.token_in < hop.token_out else reserves[::-1]
        kept = 1 - state.fee / FEE_UNIT
        counted = 0 if moved is None else moved.amount_in * kept
        return kept * reserve_in * reserve_out / (reserve_in + counted) ** 2

    def after(self, hop: Hop, moved: Moved) -> "UniswapV2Book":
        """Return the book as the quoted swap leaves it."""
        state = self._state(hop).after(cast("PairSwap", moved))
        return replace(self, pairs={**self.pairs, (state.token0, state.token1): state})

    def repriced(self, factors: Mapping[Address, Fraction]) -> "UniswapV2Book":
        """Return the book with every pair at the price that its tokens' values move to.

        A pair of so little that it cannot follow is left out.
        """
        moved = {}
        for pair, state in self.pairs.items():
            ratio = factors.get(pair[0], ONE) / factors.get(pair[1], ONE)
            there = state if ratio == 1 else state.at_ratio(ratio)
            if there is not None:
                moved[pair] = there
        return replace(self, pairs=moved)

    def _state(self, hop: Hop) -> PairState:
        return self.pairs[pair_of(hop.token_in, hop.token_out)]
