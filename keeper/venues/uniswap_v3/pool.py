"""A pool's state and its swaps. Mirrors v3-core 1.0.1 ``UniswapV3Pool.sol``.

Only a band of ticks around the price is known. A swap that would leave it has no answer: it is
refused, never guessed.
"""

from bisect import bisect_right
from dataclasses import dataclass, field

from msgspec import Struct

from keeper.core.errors import InvariantError
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.venues.uniswap_v3.tick_math import (
    MAX_SQRT_RATIO,
    MAX_TICK,
    MIN_SQRT_RATIO,
    MIN_TICK,
    sqrt_ratio_at_tick,
    tick_at_sqrt_ratio,
)
from keeper.venues.uniswap_v3.walk import Stop, Swap, Walk

WORD_TICKS = 256
"""Ticks, in units of the tick spacing, that one word of the bitmap covers."""

_MOST_WALKS = 16
"""Kept of a band: one for each price that swaps are asked about from, direction and side."""
WalkKey = tuple[int, int, int, bool, bool, int, int]
"""Square-root price, tick, liquidity, zero for one, exact in; fee and tick spacing."""


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
    _walks: dict[WalkKey, Walk] = field(default_factory=dict, repr=False, compare=False)

    def price_at(self, tick: int) -> int:
        """Return the square-root price at a tick, kept: a search asks for the same few often."""
        price = self._prices.get(tick)
        if price is None:
            price = self._prices[tick] = sqrt_ratio_at_tick(tick)
        return price

    def walk(self, key: WalkKey) -> Walk:
        """Return the walk that begins there, kept as well."""
        found = self._walks.get(key)
        if found is None:
            if len(self._walks) >= _MOST_WALKS:
                self._walks.clear()
            price, tick, liquidity, zero_for_one, exact_in, *_ = key
            begin = Swap(
                amount_in=0, amount_out=0, sqrt_price=price, liquidity=liquidity, tick=tick
            )
            found = Walk(begin, zero_for_one=zero_for_one, exact_in=exact_in)
            self._walks[key] = found
        return found

    def __post_init__(self) -> None:
        """Raise InvariantError when the ticks are not ascending or lack a net liquidity."""
        ordered = all(a < b for a, b in zip(self.ticks, self.ticks[1:], strict=False))
        if not ordered or len(self.ticks) != len(self.liquidity_net):
            msg = f"tick band: expected ascending ticks with one net each, found {self.ticks}"
            raise InvariantError(msg)


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
        return self._swap(amount, zero_for_one=zero_for_one, exact_in=True)

    def exact_out(self, amount: int, *, zero_for_one: bool) -> Swap | None:
        """Return the swap that buys ``amount``, or None when the known band cannot give it."""
        return self._swap(amount, zero_for_one=zero_for_one, exact_in=False)

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

    def next_stop(self, tick: int, *, down: bool) -> Stop | None:
        """Return where a swap stops next, None beyond the band.

        Mirrors ``TickBitmap.nextInitializedTickWithinOneWord``: a swap also stops, and rounds, at
        the edge of each bitmap word.
        """
        found = self._tick_below(tick) if down else self._tick_above(tick)
        if found is None:
            return None
        stop, at = found
        net = 0 if at is None else self.band.liquidity_net[at]
        return Stop(tick=stop, sqrt_price=self.band.price_at(stop), liquidity_net=net)

    def _swap(self, amount: int, *, zero_for_one: bool, exact_in: bool) -> Swap | None:
        if amount <= 0:
            msg = f"swap: expected a positive amount, found {amount}"
            raise InvariantError(msg)
        asked = (self.sqrt_price, self.tick, self.liquidity, zero_for_one, exact_in)
        return self.band.walk((*asked, self.fee, self.tick_spacing)).swap(self, amount)

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
