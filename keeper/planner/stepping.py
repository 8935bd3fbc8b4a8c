"""Several liquidations of one account in one transaction, where a cap on each call makes it pay.

A protocol that lets one call close half of a debt lets a second one close half of the rest, as long
as the first leaves the account liquidatable: Qin et al. 2021, "An Empirical Study of DeFi
Liquidations". So the first is as large as it may be without curing the account.
"""

from typing import Final

from keeper.core.errors import RefusedError
from keeper.core.lending import Option, SeizeQuote
from keeper.core.units import WAD
from keeper.planner.case import Case

MOST_STEPS: Final = 4
_PRECISION: Final = 12
"""The first step is the largest to ``1/2**12`` of it: the rest of it would earn nothing."""
_STILL_UNDER: Final = WAD - WAD // 10**6
"""Health factor that a step must leave at most: others in the block may lift it by a hair."""

Step = tuple[SeizeQuote, Case, Option]
"""A liquidation, what it leaves of the account, and what may then be repaid of the pair."""


def largest_step(case: Case, option: Option) -> Step | None:
    """Return the largest liquidation after which the pair may be liquidated again, or None."""
    found = step_of(case, option, option.max_repay)
    if found is not None:
        return found
    low, high = 0, option.max_repay
    while high - low > max(high >> _PRECISION, 1):
        middle = (low + high) // 2
        step = step_of(case, option, middle)
        if step is None:
            high = middle
        else:
            low, found = middle, step
    return found


def step_of(case: Case, option: Option, repay: int) -> Step | None:
    """Return a liquidation that another one of the pair may follow, None when none may."""
    try:
        quote = case.seize(option, repay)
    except RefusedError:
        return None
    left = case.after(option, quote) if quote.repay and quote.received else None
    if left is None or left.opportunity.health.health_factor > _STILL_UNDER:
        return None
    again = (one for one in left.opportunity.options if _same_pair(one, option))
    following = next(again, None)
    return None if following is None else (quote, left, following)


def _same_pair(one: Option, other: Option) -> bool:
    return (one.collateral, one.debt, one.key) == (other.collateral, other.debt, other.key)
