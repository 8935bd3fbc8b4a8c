"""The exact price at which an account crosses the line, every other price held.

Found by bisection with the protocol's own predicate, so it is right to the last unit of the price
whatever the protocol's rounding. For people; the hot path has an index.
"""

from collections.abc import Callable
from typing import TypeVar

from keeper.core.lending import Price
from keeper.core.ports import Prices, ProtocolAdapter
from keeper.core.values import replace

M = TypeVar("M")
P = TypeVar("P")

WIDEST = 64
"""How many times the present price is the highest that is looked at."""


def crossing_price(
    adapter: ProtocolAdapter[M, P],
    market: M,
    position: P,
    *,
    number: int,
    timestamp: int,
    prices: Prices,
    feed: str,
) -> int | None:
    """Return the first price of ``feed`` beyond which the account's verdict is the other one.

    For an account that is healthy now it is the nearest price at which it is liquidatable; for
    one under the line, the nearest at which it is healthy again. None when no price from one
    unit to ``WIDEST`` times the present one changes the verdict.
    """
    now = prices[feed].value

    def liquidatable(value: int) -> bool:
        moved = {**prices, feed: _at(prices[feed], value)}
        return adapter.assess(
            adapter.at(market, block=number, timestamp=timestamp, prices=moved), position
        ).liquidatable

    verdict = liquidatable(now)
    for far in (1, now * WIDEST):
        if liquidatable(far) is not verdict:
            return _bisect(now, far, lambda value: liquidatable(value) is verdict)
    return None


def _bisect(same: int, other: int, holds: Callable[[int], bool]) -> int:
    """Return the value nearest to ``same`` for which ``holds`` is false; it is at ``other``."""
    while abs(other - same) > 1:
        middle = (same + other) // 2
        if holds(middle):
            same = middle
        else:
            other = middle
    return other


def _at(price: Price, value: int) -> Price:
    return replace(price, value=value)
