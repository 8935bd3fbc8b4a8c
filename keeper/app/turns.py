"""Whose turn it is to be planned, and behind what.

Whoever is new comes first, those that were refused before as time allows.

A market that fell leaves hundreds of loans that nobody earns by closing. Planned anew with every
block in one piece, they would hold up the one that has just come under the line.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from keeper.core.lending import AccountRef, Reason, Rejection
from keeper.core.plan import Opportunity, Plan

TOGETHER: Final = 32
"""So many that were refused before are planned together with the others, for the best order."""
FOREMOST: Final = 16
"""So many accounts are read ahead for; of others it is asked when they are planned."""


class Turns:
    """Remembers who was refused, at which block they were last planned, and what was sent."""

    def __init__(self) -> None:
        self._refused: dict[AccountRef, int] = {}
        self.sent: list[Plan] = []
        """What is not in the newest book yet, in the order in which it was sent."""

    def divided(
        self, fresh: Sequence[Opportunity], *, of_all: bool = True
    ) -> tuple[Sequence[Opportunity], Sequence[Opportunity]]:
        """Return who is planned at once, and who after that, longest ago first.

        Who is not liquidatable any more is forgotten, where they are ``of_all`` who are.
        """
        known = self._refused
        again = {one.ref: known[one.ref] for one in fresh if one.ref in known}
        if of_all:
            self._refused = again
        if len(again) <= TOGETHER:
            return fresh, ()
        later = (one for one in fresh if one.ref in self._refused)
        now = [one for one in fresh if one.ref not in self._refused]
        return now, sorted(later, key=lambda one: self._refused[one.ref])

    def foremost(self, refs: Iterable[AccountRef]) -> list[AccountRef]:
        """Return whom to read ahead for: those that were not refused before, then others."""
        return sorted(refs, key=self._refused.__contains__)[:FOREMOST]

    def refused(self, refs: Iterable[AccountRef], block: int) -> None:
        """Take note of who was planned in vain at ``block``."""
        self._refused.update(dict.fromkeys(refs, block))

    def over_budget(self, rejected: Iterable[Rejection], block: int) -> None:
        """Take note of who could be liquidated at a loss, if the budget allowed it."""
        over = (one.ref for one in rejected if one.reason is Reason.FORCED_BUDGET)
        self.refused(over, block)

    def keep_unrun(self, plan_ids: Collection[str]) -> None:
        """Forget what was sent but for these plans, which are not in the newest book yet."""
        self.sent = [one for one in self.sent if one.id in plan_ids]
