"""Several liquidations of one account in one transaction, where a cap on each call makes it pay.

A protocol that lets one call close half of a debt lets a second one close half of the rest, as long
as the first leaves the account liquidatable: Qin et al. 2021, "An Empirical Study of DeFi
Liquidations". So the first is as large as it may be without curing the account.
"""

from typing import Final

from keeper.core.errors import RefusedError
from keeper.core.lending import Option, SeizeQuote
from keeper.core.units import WAD
from keeper.planner.case import After, Case

MOST_STEPS: Final = 4
_PRECISION: Final = 10
"""The first step is the largest to ``1/2**10`` of it: the rest of it would earn nothing."""
_STILL_UNDER: Final = WAD - WAD // 10**6
"""Health factor that a step must leave at most: others in the block may lift it by a hair."""

Step = tuple[SeizeQuote, Case, Option]
"""A liquidation, what it leaves of the account, and what may then be repaid of the pair."""


def largest_step(case: Case, option: Option) -> Step | None:
    """Return the largest liquidation after which the pair may be liquidated again, or None."""
    best = _left(case, option, option.max_repay)
    low, high = 0, option.max_repay
    while best is None and high - low > max(high >> _PRECISION, 1):
        middle = (low + high) // 2
        if _left(case, option, middle) is None:
            high = middle
        else:
            low = middle
    best = best or _left(case, option, low)
    if best is None:
        return None
    quote, after = best
    left = after.case()
    again = (one for one in left.opportunity.options if _same_pair(one, option))
    following = next(again, None)
    return None if following is None else (quote, left, following)


def _left(case: Case, option: Option, repay: int) -> tuple[SeizeQuote, After] | None:
    """Return a liquidation that leaves the account under the line, None when it does not."""
    try:
        quote = case.seize(option, repay)
    except RefusedError:
        return None
    after = case.after(option, quote) if quote.repay and quote.received else None
    if after is None or after.health.health_factor > _STILL_UNDER:
        return None
    return quote, after


def _same_pair(one: Option, other: Option) -> bool:
    return (one.collateral, one.debt, one.key) == (other.collateral, other.debt, other.key)
