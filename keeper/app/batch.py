"""A batch of opportunities with all that is known of them beside pools and lenders."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Generic, TypeVar

from msgspec import Struct

from keeper.core.lending import AccountRef, Valuation
from keeper.core.plan import Opportunity, Plan
from keeper.core.ports import ProtocolAdapter
from keeper.planner.case import Case, case_of
from keeper.scanner.scan import Book

M = TypeVar("M")
P = TypeVar("P")

ALL: Final = sys.maxsize


class Batch(Struct, Generic[M, P], frozen=True, kw_only=True):
    """What a planner plans from."""

    adapter: ProtocolAdapter[M, P]
    view: M
    book: Book[M, P]
    opportunities: Sequence[Opportunity]
    valuations: Mapping[AccountRef, Valuation]
    """Of each opportunity's market."""
    part: int = ALL
    """Opportunities that are planned together; what they bring is sent before the next ones."""
    sent: Sequence[Plan] = ()
    """What is in flight, in order: not yet in the book. It may grow while the batch is planned."""

    def parts(self) -> Iterator[Sequence[Opportunity]]:
        """Yield the opportunities part by part, in the order of what may be repaid."""
        wanted = self.opportunities
        if len(wanted) > self.part:
            wanted = sorted(wanted, key=self._worth, reverse=True)
        for start in range(0, len(wanted), self.part):
            yield wanted[start : start + self.part]

    def cases(self, opportunities: Sequence[Opportunity] | None = None) -> list[Case]:
        """Return the cases of some of its opportunities, or of all."""
        wanted = self.opportunities if opportunities is None else opportunities
        return [self.case(one) for one in wanted]

    def case(self, opportunity: Opportunity) -> Case:
        """Return an opportunity as the planner takes it."""
        return case_of(
            self.adapter,
            self.view,
            self.book.positions[opportunity.ref],
            opportunity=opportunity,
            valuation=self.valuations[opportunity.ref],
        )

    def stands_on(self, other: "Batch[M, P]") -> bool:
        """Return whether cases of it are the other's: of one book, one view and one valuation."""
        is_one = self.book is other.book and self.view is other.view
        return is_one and self.valuations == other.valuations

    def _worth(self, opportunity: Opportunity) -> int:
        valuation = self.valuations[opportunity.ref]
        repaid = (valuation.wei_floor(one.debt, one.max_repay) for one in opportunity.options)
        return max(repaid, default=0)
