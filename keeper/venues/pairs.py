"""Pairs of tokens: their order in a pool, and which of them a route may need."""

from collections.abc import Iterable

from keeper.core.units import Address

Pair = tuple[Address, Address]
"""Two tokens in the order of a pool: by address."""


def pair_of(token_a: Address, token_b: Address) -> Pair:
    """Return the two tokens in the order of a pool."""
    return (token_a, token_b) if token_a < token_b else (token_b, token_a)


def pairs_over(
    pairs: Iterable[tuple[Address, Address]], intermediates: Iterable[Address]
) -> list[Pair]:
    """Return the pairs and those that lead over an intermediate token, in order."""
    middles, wanted = tuple(intermediates), set()
    for token_in, token_out in pairs:
        if token_in == token_out:
            continue
        wanted.add(pair_of(token_in, token_out))
        for middle in middles:
            if middle not in (token_in, token_out):
                wanted |= {pair_of(token_in, middle), pair_of(middle, token_out)}
    return sorted(wanted)
