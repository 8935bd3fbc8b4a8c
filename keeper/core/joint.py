"""Plans made together: their order, what they are without one, and several in one transaction."""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from keeper.core.lending import Rejection
from keeper.core.plan import Plan
from keeper.core.values import replace

Remake = Callable[[Sequence[Plan]], tuple[list[Plan], list[Rejection]]]
"""Return plans that were made together as they are without those that are not among them.

They are given in their order. One that comes out the same is the same object; one that is none any
more is among the rejections.
"""


def as_they_are(plans: Sequence[Plan]) -> tuple[list[Plan], list[Rejection]]:
    """Return the plans: they do not depend on each other (``Remake``)."""
    return list(plans), []


def of_nobody(_: Plan) -> Rejection | None:
    """Return no reason: what was judged before holds (``Joint.bar``)."""
    return None


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


class Addition(Struct, frozen=True, kw_only=True):
    """A plan that pays only as one more of a transaction that is sent anyway."""

    plan: Plan
    alone: Rejection
    """Why it does not go alone."""


class Joint(Struct, frozen=True, kw_only=True):
    """Plans made together, in the order to send them."""

    plans: Sequence[Plan]
    remake: Remake = as_they_are
    merging: Merging | None = None
    """None sends each alone."""
    additions: Sequence[Addition] = ()
    """Made behind the plans; each goes with the last of them or not at all."""
    bar: Callable[[Plan], Rejection | None] = of_nobody
    """Why a plan may not be acted on after all: asked right before anything is signed."""
    is_whole: bool = True
    """They were made of all that their head brought: not of a price of its block alone, nor of a
    pending update."""

    @property
    def everybody(self) -> tuple[Plan, ...]:
        """The plans, and those that may go along."""
        return (*self.plans, *(one.plan for one in self.additions))

    def among(self, going: Sequence[Plan]) -> "tuple[Joint, list[Rejection]]":
        """Return what remains of it when only these may go on, and what is no plan any more."""
        kept = {one.id for one in going}
        plans = [one for one in self.plans if one.id in kept]
        gone: list[Rejection] = []
        if len(plans) < len(self.plans):
            plans, gone = self.remake(plans)
        additions = [one for one in self.additions if one.plan.id in kept]
        return replace(self, plans=plans, additions=additions), gone
