"""How much to repay: the amount with the greatest net, in exact integers.

Along one route the net is a concave function of the amount: the seizure is linear up to a cap,
each pool's price only worsens, the rest is linear. Above some amount it may not exist at all (the
pools' known range, the lender's cash, collateral that does not buy the debt back, a leftover that
the protocol forbids), and then a smaller one is looked for. Protocols that forbid small leftovers
allow a full close again: what they take is one piece or two (``pieces_of``), each is searched for
itself, and its ends are tried. So is what each lender has, where the next one asks for more.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

ROUGH: Final = 6
"""Search to ``1/2**6`` of the amount: the net is then off by its curvature's share of 2e-4."""
FINE: Final = 20
"""Search to ``1/2**20`` of the amount: the net is flat there, its error is a share of 1e-12."""
_EDGE: Final = 14
_SCAN: Final = 16
"""A bracket this narrow is tried whole."""
_LAST: Final = 4
"""The upper end of the range: its last ``1/2**4``."""
_VERY_LAST: Final = 8
"""Its last ``1/2**8``, in which a net that rises evenly rises by ``1/2**4`` of the former."""
_GOLDEN_NUMERATOR: Final = 618_033_989
_GOLDEN_DENOMINATOR: Final = 1_000_000_000

Net = Callable[[int], int | None]
Piece = tuple[int, int]
"""A range of amounts, both ends included."""


def pieces_of(refused: Callable[[int], bool], largest: int, whole: int) -> tuple[Piece, ...]:
    """Return the ranges of amounts, lowest first, that a protocol takes: at most two.

    The upper end of the lower one is within ``1/2**14`` of the last amount that is taken, which
    ``edge_from`` finds when it matters.
    ``whole`` is what it really takes of an offer of ``largest``: amounts between the two come to
    the same. A protocol that forbids small leftovers takes everything, or what leaves enough.
    """
    below = whole - 1
    if below < 1:
        return ((largest, largest),)
    if not refused(below):
        return ((1, largest),) if whole == largest else ((1, below), (largest, largest))
    edge = _edge(refused, below)
    return ((largest, largest),) if edge is None else ((1, edge), (largest, largest))


def split(pieces: Iterable[Piece], cuts: Iterable[int]) -> tuple[Piece, ...]:
    """Return the pieces cut after each of ``cuts``: above it a dearer lender is needed."""
    found = list(pieces)
    for cut in cuts:
        found = [
            part
            for low, high in found
            for part in (((low, cut), (cut + 1, high)) if low <= cut < high else ((low, high),))
        ]
    return tuple(found)


def best_of(net: Net, pieces: Sequence[Piece], precision: int = FINE) -> int | None:
    """Return the amount of any piece with the greatest net, None when none has a net."""
    found = [best_amount(net, high, precision, low=low) for low, high in reversed(pieces)]
    known = [amount for amount in found if amount is not None]
    return max(known, key=lambda amount: _rank(net(amount)), default=None)


def best_amount(net: Net, largest: int, precision: int = FINE, *, low: int = 1) -> int | None:
    """Return the amount in ``low..largest`` with the greatest net, None when none has a net.

    Searches to ``1 / 2**precision`` of the amount found. At ``FINE`` the answer is exact up to the
    rounding of the legs, for a net that is concave where it exists and exists below any amount at
    which it does. ``net`` is asked again for amounts it was asked before.
    """
    end = net(largest)
    if low == largest:
        return None if end is None else largest
    if end is not None and largest - low > _SCAN:
        near, nearer = _near_the_end(largest, low)
        last, very_last = net(near), net(nearer)
        if last is not None and very_last is not None and end > last:
            if _rises(end - last, end - very_last):
                return largest
            low = near
    inner = _golden(net, low, largest, precision)
    found = net(inner)
    if found is None or (end is not None and end >= found):
        return None if end is None else largest
    return inner


def _near_the_end(largest: int, low: int) -> tuple[int, int]:
    width = largest - low
    return largest - (width >> _LAST), largest - max(width >> _VERY_LAST, 1)


def edge_from(refused: Callable[[int], bool], amount: int) -> int:
    """Return the largest amount that is taken, from one that is and is near it."""
    step = max(amount >> _EDGE, 1)
    while not refused(amount + step):
        amount += step
    low, high = amount, amount + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if refused(middle) else (middle, high)
    return low


def _edge(refused: Callable[[int], bool], above: int) -> int | None:
    """Return about the largest amount below ``above``, which is refused, that is not, or None.

    Amounts too small to move anything are refused as well: it starts from one that is not.
    """
    low = above >> 1
    while low and refused(low):
        low >>= 1
    if not low:
        return None
    high = above
    while high - low > max(high >> _EDGE, 1):
        middle = (low + high) // 2
        low, high = (low, middle) if refused(middle) else (middle, high)
    return low


def _rises(over_last: int, over_very_last: int) -> bool:
    """Return whether a net still rises at the end at least half as fast as before.

    Short of that it is searched: a rise that is mostly rounding shows nothing.
    """
    return over_very_last << (_VERY_LAST - _LAST + 1) >= over_last


def _golden(net: Net, low: int, high: int, precision: int) -> int:
    """Narrow a bracket by the golden section; an amount without a net sends it lower."""
    left, right = _inside(low, high)
    while high - low > max(high >> precision, _SCAN):
        at_left, at_right = net(left), net(right)
        if at_right is None or (at_left is not None and at_left >= at_right):
            high, right = right, left
            left = high - _share(high - low)
        else:
            low, left = left, right
            right = low + _share(high - low)
        if not low < left < right < high:
            left, right = _inside(low, high)
    last = range(low, high + 1) if high - low <= _SCAN else (low, left, right, high)
    return max(last, key=lambda amount: _rank(net(amount)))


def _inside(low: int, high: int) -> tuple[int, int]:
    """Return the two points that divide a bracket; rounding drifts points that are kept."""
    share = _share(high - low)
    return high - share, low + share


def _share(width: int) -> int:
    return width * _GOLDEN_NUMERATOR // _GOLDEN_DENOMINATOR


def _rank(net: int | None) -> tuple[bool, int]:
    """Order an amount without a net below every other."""
    return (net is not None, net or 0)
