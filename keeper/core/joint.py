"""Plans made together: their order, what they are without one, and several in one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from keeper.core.lending import Rejection
from keeper.core.plan import Plan

Remake = Callable[[Sequence[Plan]], tuple[list[Plan], list[Rejection]]]
"""Return plans that were made together as they are without those that are not among them.

They are given in their order. One that comes out the same is the same object; one that is none any
more is among the rejections.
"""


def as_they_are(plans: Sequence[Plan]) -> tuple[list[Plan], list[Rejection]]:
    """Return the plans: they do not depend on each other (``Remake``)."""
    return list(plans), []


class Merging(Protocol):
    """Makes one transaction of several plans that were made together."""

    def takes(self, plan: Plan) -> bool:
        """Return whether the plan can go with others."""
        ...

    def merge(self, plans: Sequence[Plan]) -> Plan:
        """Return the first plan with the others as its companions, forecasts as they were alone.

        They are given in their order, which is kept. Raises RefusedError when one transaction
        cannot carry them all.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """Plans made together, in the order to send them."""

    plans: Sequence[Plan]
    remake: Remake = as_they_are
    merging: Merging | None = None
    """None sends each alone."""
