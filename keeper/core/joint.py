"""Plans made together: their order, and what they are without one of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """Plans made together, in the order to send them."""

    plans: Sequence[Plan]
    remake: Remake = as_they_are
