"""What swaps of one direction go through from one price, each range of it computed once.

A range that is passed whole takes and gives the same whatever the amount. So where an amount ends
is looked up, and only its last range is computed. Anybody can open thousands of ranges of next to
nothing, and who searches for an amount asks for hundreds: none goes through all of them again.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import Final, Protocol

from msgspec import Struct

from keeper.venues.uniswap_v3.swap_math import step_exact_in, step_exact_out
from keeper.venues.uniswap_v3.tick_math import MAX_SQRT_RATIO, MIN_SQRT_RATIO

_ALL: Final = 1 << 256
"""More than any range takes or gives."""
_Step = Callable[[int, int, int, int, int], tuple[int, int, int]]


class Swap(Struct, frozen=True, kw_only=True):
    """What a swap moves, and where it leaves the pool."""

    amount_in: int
    amount_out: int
    sqrt_price: int
    liquidity: int
    tick: int | None
    """None when the price ended within a range: then the tick follows from the price."""


class Stop(Struct, frozen=True, kw_only=True):
    """Where a range ends."""

    tick: int
    sqrt_price: int
    liquidity_net: int
    """What crossing it upward adds to the liquidity; 0 at the edge of a bitmap word."""


class Ranges(Protocol):
    """A pool as far as it is walked through."""

    @property
    def fee(self) -> int:
        """Return hundredths of a basis point."""
        ...

    def next_stop(self, tick: int, *, down: bool) -> Stop | None:
        """Return where the range at a tick ends, None beyond what is known."""
        ...


class Walk:
    """Mirrors the loop of ``UniswapV3Pool.swap`` without a price limit, for one way of asking."""

    def __init__(self, begin: Swap, *, zero_for_one: bool, exact_in: bool) -> None:
        """Begin where a swap of nothing leaves the pool."""
        self._down, self._exact_in = zero_for_one, exact_in
        self._step: _Step = step_exact_in if exact_in else step_exact_out
        self._limit = MIN_SQRT_RATIO + 1 if zero_for_one else MAX_SQRT_RATIO - 1
        self._swaps = [begin]
        """Those that end where a range begins, all of it before passed."""
        self._amounts: list[int] = []
        """What takes a swap to the end of each range."""

    def swap(self, pool: Ranges, amount: int) -> Swap | None:
        """Return the swap of an amount, None when the known ranges do not take it.

        ``pool`` is the one that the walk began in.
        """
        while (not self._amounts or self._amounts[-1] < amount) and self._pass(pool):
            pass
        at = bisect_left(self._amounts, amount)
        if at == len(self._amounts):
            return None
        if self._amounts[at] == amount:
            return self._swaps[at + 1]
        return self._moved(pool, self._swaps[at], amount - (self._amounts[at - 1] if at else 0))

    def _pass(self, pool: Ranges) -> bool:
        """Go through one more range; False when there is none that is known."""
        end = self._moved(pool, self._swaps[-1], _ALL)
        if end is None:
            return False
        self._swaps.append(end)
        self._amounts.append(end.amount_in if self._exact_in else end.amount_out)
        return True

    def _moved(self, pool: Ranges, begin: Swap, remaining: int) -> Swap | None:
        """Return the swap that goes on from ``begin`` to the end of the range at the most."""
        stop = None if begin.tick is None else pool.next_stop(begin.tick, down=self._down)
        if stop is None or begin.sqrt_price == self._limit:
            return None
        goal, liquidity = stop.sqrt_price, begin.liquidity
        target = max(goal, self._limit) if self._down else min(goal, self._limit)
        price, spent, got = self._step(begin.sqrt_price, target, liquidity, remaining, pool.fee)
        tick = begin.tick if price == begin.sqrt_price else None
        if price == goal:
            tick = stop.tick - 1 if self._down else stop.tick
            liquidity += -stop.liquidity_net if self._down else stop.liquidity_net
        return Swap(
            amount_in=begin.amount_in + spent,
            amount_out=begin.amount_out + got,
            sqrt_price=price,
            liquidity=liquidity,
            tick=tick,
        )
