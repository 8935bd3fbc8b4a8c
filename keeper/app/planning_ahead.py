"""Planned while the node is still being asked: on what was read last, should it still hold.

Pools and lenders are read anew for each block, and mostly they are as they were. Then what is
planned on the old ones is the plan, to the last word. It is taken where all that it was made from
equals what was read; else it is planned once more, and the next one waits until a guess would have
been right again.
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from keeper.app.batch import Batch
from keeper.core.lending import Rejection
from keeper.core.plan import Opportunity, Plan
from keeper.planner.case import Case, Desk
from keeper.planner.markets import Markets
from keeper.planner.offers import Chosen
from keeper.planner.planner import Planner

FEW: Final = 4
"""So many accounts are planned ahead at most: for more, what is waited for is a small part."""


class Planned(Struct, frozen=True, kw_only=True):
    """What was made of accounts at a desk."""

    chosen: Sequence[Chosen]
    rejected: Sequence[Rejection]
    plans: Sequence[Plan]


class _Guess(Struct, frozen=True, kw_only=True):
    batch: Batch[Any, Any]
    desk: Desk
    planned: Planned | None


class PlanningAhead:
    """Keeps the newest guess of one deployment until it is known whether it holds."""

    def __init__(self, planner: Planner) -> None:
        """Guess at the first chance."""
        self._planner = planner
        self._guess: _Guess | None = None
        self._is_calm = True
        """The last guess was right, or would have been."""

    def guess(self, batch: Batch[Any, Any], desk: Desk) -> Sequence[Plan]:
        """Return the plans of a batch at a desk that may not hold; none where that is likely."""
        planned = None
        if self._is_calm and not batch.sent:
            planned = planned_of(self._planner, batch.cases(), desk)
        self._guess = _Guess(batch=batch, desk=desk, planned=planned)
        return () if planned is None else planned.plans

    def taken(
        self, batch: Batch[Any, Any], opportunities: Sequence[Opportunity], desk: Desk
    ) -> Planned | None:
        """Return what was made of the batch, None where anything is not as it was guessed.

        A guess is taken once.
        """
        guess, self._guess = self._guess, None
        if guess is None or batch.sent or guess.batch.book is not batch.book:
            return None
        is_same = opportunities == guess.batch.opportunities and batch.stands_on(guess.batch)
        self._is_calm = is_same and guess.desk == desk
        return guess.planned if self._is_calm else None


def planned_of(
    planner: Planner, cases: Sequence[Case], desk: Desk, markets: Markets | None = None
) -> Planned:
    """Return the plans of cases that compete with each other, without offers from outside."""
    chosen, rejected = planner.choose_all(cases, desk, markets)
    plans = [planner.build(one) for one in chosen]
    return Planned(chosen=chosen, rejected=rejected, plans=plans)
