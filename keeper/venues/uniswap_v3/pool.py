"""A pool's state and its swaps. Mirrors v3-core 1.0.1 ``UniswapV3Pool.sol``.

Only a band of ticks around the price is known. A swap that would leave it has no answer: it is
refused, never guessed.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import Struct

from keeper.core.errors import InvariantError
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.venues.uniswap_v3.swap_math import step_exact_in, step_exact_out
from keeper.venues.uniswap_v3.tick_math import (
    MAX_SQRT_RATIO,
    MAX_TICK,
    MIN_SQRT_RATIO,
    MIN_TICK,
    sqrt_ratio_at_tick,
    tick_at_sqrt_ratio,
)

WORD_TICKS = 256
"""Ticks, in units of the tick spacing, that one word of the bitmap covers."""

Step = Callable[[int, int, int, int, int], tuple[int, int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TickBand:
    """The initialised ticks in a run of whole bitmap words."""

    first_word: int
    last_word: int
    ticks: tuple[int, ...]
    """Ascending."""
    liquidity_net: tuple[int, ...]
    """What crossing each tick upward adds to the liquidity."""
    _prices: dict[int, int] = field(default_factory=dict, repr=False, compare=False)

    def price_at(self, tick: int) -> int:
        """Return the square-root price at a tick, kept: a search asks for the same few often."""
        price = self._prices.get(tick)
        if price is None:
            price = self._prices[tick] = sqrt_ratio_at_tick(tick)
        return price

    def __post_init__(self) -> None:
        """Raise InvariantError when the ticks are not ascending or lack a net liquidity."""
        ordered = all(a < b for a, b in zip(self.ticks, self.ticks[1:], strict=False))
        if not ordered or len(self.ticks) != len(self.liquidity_net):
            msg = f"tick band: expected ascending ticks with one net each, found {self.ticks}"
            raise InvariantError(msg)


class Swap(Struct, frozen=True, kw_only=True):
    """What a swap moves, and where it leaves the pool."""

    amount_in: int
    amount_out: int
    sqrt_price: int
    liquidity: int
    tick: int | None
    """None when the price ended within a range: then the tick follows from the price."""


class PoolState(Struct, frozen=True, kw_only=True):
    """A pool at one block, or after swaps already counted on."""

    address: Address
    token0: Address
    token1: Address
    fee: int
    """Hundredths of a basis point."""
    tick_spacing: int
    sqrt_price: int
    tick: int
    liquidity: int
    band: TickBand

    def exact_in(self, amount: int, *, zero_for_one: bool) -> Swap | None:
        """Return the swap that sells ``amount``, or None when the known band cannot take it."""
        return _swap(self, amount, zero_for_one=zero_for_one, exact_in=True)

    def exact_out(self, amount: int, *, zero_for_one: bool) -> Swap | None:
        """Return the swap that buys ``amount``, or None when the known band cannot give it."""
        return _swap(self, amount, zero_for_one=zero_for_one, exact_in=False)

    def after(self, swap: Swap) -> "PoolState":
        """Return the pool as the swap leaves it."""
        tick = tick_at_sqrt_ratio(swap.sqrt_price) if swap.tick is None else swap.tick
        return replace(self, sqrt_price=swap.sqrt_price, tick=tick, liquidity=swap.liquidity)

    def at_price(self, sqrt_price: int) -> "PoolState | None":
        """Return the pool with its price moved and its positions as they are.

        None when the price is beyond the known band, whose ticks the liquidity follows from.
        """
        if not MIN_SQRT_RATIO <= sqrt_price < MAX_SQRT_RATIO:
            return None
        tick = tick_at_sqrt_ratio(sqrt_price)
        word = tick // self.tick_spacing // WORD_TICKS
        if not self.band.first_word <= word <= self.band.last_word:
            return None
        here = bisect_right(self.band.ticks, self.tick)
        there = bisect_right(self.band.ticks, tick)
        net = self.band.liquidity_net
        crossed = sum(net[here:there]) if there >= here else -sum(net[there:here])
        liquidity = self.liquidity + crossed
        return replace(self, sqrt_price=sqrt_price, tick=tick, liquidity=liquidity)

    def next_tick(self, tick: int, *, down: bool) -> tuple[int, int | None] | None:
        """Return the next stop of a swap and its place in the band if it is initialised.

        None beyond the band. Mirrors ``TickBitmap.nextInitializedTickWithinOneWord``: a swap
        also stops, and rounds, at the edge of each bitmap word.
        """
        return self._tick_below(tick) if down else self._tick_above(tick)

    def _tick_below(self, tick: int) -> tuple[int, int | None] | None:
        word = tick // self.tick_spacing // WORD_TICKS
        if not self.band.first_word <= word <= self.band.last_word:
            return None
        edge = word * WORD_TICKS * self.tick_spacing
        at = bisect_right(self.band.ticks, tick) - 1
        if at >= 0 and self.band.ticks[at] >= edge:
            return self.band.ticks[at], at
        return max(edge, MIN_TICK), None

    def _tick_above(self, tick: int) -> tuple[int, int | None] | None:
        word = (tick // self.tick_spacing + 1) // WORD_TICKS
        if not self.band.first_word <= word <= self.band.last_word:
            return None
        edge = (word * WORD_TICKS + WORD_TICKS - 1) * self.tick_spacing
        at = bisect_right(self.band.ticks, tick)
        if at < len(self.band.ticks) and self.band.ticks[at] <= edge:
            return self.band.ticks[at], at
        return min(edge, MAX_TICK), None


def _swap(pool: PoolState, amount: int, *, zero_for_one: bool, exact_in: bool) -> Swap | None:
    """Mirror the loop of ``UniswapV3Pool.swap`` without a price limit."""
    if amount <= 0:
        msg = f"swap: expected a positive amount, found {amount}"
        raise InvariantError(msg)
    step: Step = step_exact_in if exact_in else step_exact_out
    price, liquidity, known_tick = pool.sqrt_price, pool.liquidity, pool.tick
    tick: int | None = known_tick
    limit = MIN_SQRT_RATIO + 1 if zero_for_one else MAX_SQRT_RATIO - 1
    remaining, total_in, total_out = amount, 0, 0
    while remaining > 0:
        stop = pool.next_tick(known_tick, down=zero_for_one)
        if stop is None or price == limit:
            return None
        next_tick, crossed = stop
        goal = pool.band.price_at(next_tick)
        target = max(goal, limit) if zero_for_one else min(goal, limit)
        start = price
        price, spent, got = step(price, target, liquidity, remaining, pool.fee)
        total_in += spent
        total_out += got
        remaining -= spent if exact_in else got
        if price == goal:
            if crossed is not None:
                net = pool.band.liquidity_net[crossed]
                liquidity += -net if zero_for_one else net
            known_tick = tick = next_tick - 1 if zero_for_one else next_tick
        elif price != start:
            tick = None
    return Swap(
        amount_in=total_in, amount_out=total_out, sqrt_price=price, liquidity=liquidity, tick=tick
    )
