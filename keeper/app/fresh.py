"""Who of those under the line is worth planning for now."""

from typing import Generic, TypeVar

from keeper.app.parity import Parity
from keeper.app.refusals import too_small
from keeper.core.lending import Reason, Rejection
from keeper.core.plan import Opportunity
from keeper.executor.executor import Executor
from keeper.scanner.scan import Scan

M = TypeVar("M")
P = TypeVar("P")


class Fresh(Generic[M, P]):
    """Leaves out who is barred, owes too little, or has something under way."""

    def __init__(self, executor: Executor, parity: Parity[M, P], *, min_debt_base: int) -> None:
        """Leave accounts alone that owe less than ``min_debt_base``, in their market's unit."""
        self._executor = executor
        self._parity = parity
        self._min_debt_base = min_debt_base

    def among(self, found: Scan[M], rejected: list[Rejection]) -> list[Opportunity]:
        """Return who is worth planning for; add to ``rejected`` why others are not."""
        fresh: list[Opportunity] = []
        for one in found.opportunities:
            waiting = self._executor.waiting(one.ref, found.block.number)
            if barred := self._parity.bar(one.ref, found.block):
                rejected.append(barred)
            elif one.health.debt_base < self._min_debt_base:
                rejected.append(too_small(one, self._min_debt_base))
            elif waiting is None:
                fresh.append(one)
            elif waiting.reason is not Reason.IN_FLIGHT:
                rejected.append(waiting)
        return fresh
