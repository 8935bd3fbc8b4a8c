"""How much to repay: the amount with the greatest net, in exact integers.

Along one route the net is a concave function of the amount: the seizure is linear up to a cap,
each pool's price only worsens, the rest is linear. Above some amount it may not exist at all (the
pools' known range, the lender's cash, collateral that does not buy the debt back, a leftover that
the protocol forbids), and then a smaller one is looked for. The largest amount is always tried
for itself, as protocols that forbid small leftovers allow a full close again.
"""

from collections.abc import Callable
from typing import Final

_SLOPE_SHIFT: Final = 20
"""The slope at the upper end is taken over ``1/2**20`` of the range at most."""
ROUGH: Final = 8
"""Search to ``1/2**8`` of the range: the net is then off by its curvature's share of 1e-5."""
FINE: Final = 30
"""Search to ``1/2**30`` of the range: the net is flat there, its error is below a wei."""
_SCAN: Final = 8
"""A bracket this narrow is tried whole."""
_GOLDEN_NUMERATOR: Final = 618_034
_GOLDEN_DENOMINATOR: Final = 1_000_000

Net = Callable[[int], int | None]


def best_amount(net: Net, largest: int, precision: int = FINE) -> int | None:
    """Return the amount in ``1..largest`` with the greatest net, None when none has a net.

    Searches to ``largest / 2**precision``. At ``FINE`` the answer is exact up to the rounding of
    the legs, for a net that is concave where it exists and exists below any amount at which it
    does (``largest`` aside). ``net`` is asked again for amounts it was asked before.
    """
    end = net(largest)
    near = largest - max(largest >> min(precision, _SLOPE_SHIFT), 1)
    if near < 1:
        return None if end is None else largest
    slope_from = net(near)
    if end is not None and slope_from is not None and end >= slope_from:
        return largest
    inner = _golden(net, 1, largest, max(largest >> precision, _SCAN))
    found = net(inner)
    if found is None or (end is not None and end >= found):
        return None if end is None else largest
    return inner


def _golden(net: Net, low: int, high: int, width: int) -> int:
    """Narrow a bracket by the golden section; an amount without a net sends it lower."""
    left, right = high - _share(high - low), low + _share(high - low)
    at_left, at_right = net(left), net(right)
    while high - low > width:
        if at_right is None or (at_left is not None and at_left >= at_right):
            high, right, at_right = right, left, at_left
            left = high - _share(high - low)
            at_left = net(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _share(high - low)
            at_right = net(right)
    last = range(low, high + 1) if high - low <= _SCAN else (low, left, right, high)
    return max(last, key=lambda amount: _rank(net(amount)))


def _share(width: int) -> int:
    return width * _GOLDEN_NUMERATOR // _GOLDEN_DENOMINATOR


def _rank(net: int | None) -> tuple[bool, int]:
    """Order an amount without a net below every other."""
    return (net is not None, net or 0)
