"""The fee ladder of a transaction that did not land: each rung replaces the one before.

go-ethereum's legacy pool takes a replacement only when both fee fields are a tenth higher and
strictly greater (``core/txpool/legacypool/list.go``, ``PriceBump`` 10 %). Other nodes are laxer;
we are not.
"""

from keeper.core.chain import Fees
from keeper.core.fixed_point import mul_div_ceil

BUMP_PERCENT = 110
_WHOLE = 100
HEADROOM = 2
"""Times the next base fee that a new maximum leaves room for."""


def bumped(fee: int) -> int:
    """Return the least fee that may replace ``fee``, wei per gas."""
    return max(mul_div_ceil(fee, BUMP_PERCENT, _WHOLE), fee + 1)


def outbiddable(cap: int) -> int:
    """Return the most that may be offered so that one more rung fits under ``cap``, wei per gas.

    A liquidation offers no more: what cancels it has to outbid it, and keeps to the cap too.
    """
    return max(cap, 0) * _WHOLE // BUMP_PERCENT


def raised(fees: Fees, *, base_fee: int, cap: int) -> Fees | None:
    """Return the next rung for a block of that base fee, or None when it is over the cap."""
    priority_fee, least = bumped(fees.priority_fee), bumped(fees.max_fee)
    max_fee = min(max(least, base_fee * HEADROOM + priority_fee), cap)
    if max_fee < least or max_fee < priority_fee or max_fee < base_fee:
        return None
    return Fees(max_fee=max_fee, priority_fee=priority_fee)


def afresh(fees: Fees, *, base_fee: int, cap: int) -> Fees | None:
    """Return what to offer where no node has what is replaced, None when the block wants more.

    It is for what was offered before the cap was lowered: nothing under that outbids it.
    """
    priority_fee = min(fees.priority_fee, cap)
    max_fee = min(base_fee * HEADROOM + priority_fee, cap)
    return Fees(max_fee=max_fee, priority_fee=priority_fee) if max_fee >= base_fee else None


def break_even(received: int, *, gas_used: int, min_profit: int) -> int:
    """Return the most per gas that leaves the least profit of what is received, wei."""
    return max(received - min_profit, 0) // max(gas_used, 1)
