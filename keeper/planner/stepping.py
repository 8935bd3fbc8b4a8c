"""Several liquidations of one account in one transaction, where a cap on each call makes it pay.

A protocol that lets one call close half of a debt lets a second one close half of the rest, as long
as the first leaves the account liquidatable: Qin et al. 2021, "An Empirical Study of DeFi
Liquidations". So the first is as large as it may be without curing the account.
"""

from typing import Final

from msgspec import Struct

from keeper.core.errors import RefusedError
from keeper.core.lending import Health, Option, SeizeQuote
from keeper.core.units import WAD
from keeper.planner.case import After, Case

MOST_STEPS: Final = 4
_PRECISION: Final = 10
"""The first step is the largest to ``1/2**10`` of it: the rest of it would earn nothing."""
_GUESS: Final = 14
"""A guess of the amount that cures is good to ``1/2**14`` of it."""
_STILL_UNDER: Final = WAD - WAD // 10**6
"""Health factor that a step must leave at most: others in the block may lift it by a hair."""

Step = tuple[SeizeQuote, Case, Option]
"""A liquidation, what it leaves of the account, and what may then be repaid of the pair."""


class _Tried(Struct, frozen=True, kw_only=True):
    """A liquidation, and what it leaves of the account when that can be said."""

    quote: SeizeQuote
    after: After | None

    @property
    def leaves_nothing(self) -> bool:
        """Whether no second one could take anything more of the pair."""
        return self.after is None or self.after.health.debt_base == 0

    @property
    def is_under(self) -> bool:
        """Whether the account may be liquidated again."""
        return self.after is not None and self.after.health.health_factor <= _STILL_UNDER


def largest_step(case: Case, option: Option) -> Step | None:
    """Return the largest liquidation after which the pair may be liquidated again, or None.

    None as well where the largest of all leaves nothing to take: no cap has kept it smaller.
    """
    found = _try(case, option, option.max_repay)
    if found is not None and found.leaves_nothing:
        return None
    if found is None or not found.is_under:
        found = _smaller(case, option, _cure(case, option, found))
    if found is None or found.after is None:
        return None
    left = found.after.case()
    again = (one for one in left.opportunity.options if _same_pair(one, option))
    following = next(again, None)
    return None if following is None else (found.quote, left, following)


def _cure(case: Case, option: Option, whole: _Tried | None) -> int:
    """Return about the smallest amount that cures the account, given one that does.

    Debt and weighted collateral fall in proportion to the amount, and so does what the one is short
    of the other.
    """
    if whole is None or whole.after is None:
        return option.max_repay
    short, spare = _short(case.opportunity.health), -_short(whole.after.health)
    return option.max_repay * short // (short + spare) if min(short, spare) > 0 else 0


def _short(health: Health) -> int:
    """Return how much weighted collateral an account lacks, in base units times WAD."""
    return (_STILL_UNDER - health.health_factor) * health.debt_base


def _smaller(case: Case, option: Option, cure: int) -> _Tried | None:
    """Return the largest liquidation below the cure that leaves the account under the line."""
    low, high = 0, cure - (cure >> _GUESS) - 1
    middle, best = high, None
    while high - low > max(high >> _PRECISION, 1):
        tried = _try(case, option, middle)
        if tried is None or not tried.is_under:
            high = middle
        else:
            low, best = middle, tried
        middle = (low + high) // 2
    return best


def _try(case: Case, option: Option, repay: int) -> _Tried | None:
    """Return what a liquidation does, None when the protocol does not take it."""
    try:
        quote = case.seize(option, repay)
    except RefusedError:
        return None
    if not quote.repay or not quote.received:
        return None
    return _Tried(quote=quote, after=case.after(option, quote))


def _same_pair(one: Option, other: Option) -> bool:
    return (one.collateral, one.debt, one.key) == (other.collateral, other.debt, other.key)
