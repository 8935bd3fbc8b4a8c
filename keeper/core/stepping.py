"""What adapters may offer a planner besides: many amounts at once, several steps, and loans."""

from collections.abc import Callable
from functools import cache
from typing import Protocol, TypeVar, runtime_checkable

from keeper.core.lending import Option, SeizeQuote
from keeper.core.plan import Funding

M = TypeVar("M")
P = TypeVar("P")
M_contra = TypeVar("M_contra", contravariant=True)
P_contra = TypeVar("P_contra", contravariant=True)


@runtime_checkable
class Prepared(Protocol[M_contra, P_contra]):
    """An adapter that can get an account ready to be asked about many amounts."""

    def seizer(self, view: M_contra, position: P_contra) -> Callable[[Option, int], SeizeQuote]:
        """Return ``ProtocolAdapter.seize`` of one account in one view."""
        ...


@runtime_checkable
class Lending(Protocol[M]):
    """An adapter whose market lends within transactions, and is moved by that."""

    def after_loan(self, view: M, loan: Funding) -> M:
        """Return the market once a loan is given back, its fee with it, at the same moment.

        The same where another lends: a loan is named by its lender.
        """
        ...


@runtime_checkable
class Stepwise(Protocol[M, P]):
    """An adapter of which several liquidations of one account can be planned as one transaction.

    ``M`` is the market and its views, ``P`` a position, as in ``ProtocolAdapter``. A protocol that
    lets one call take everything has no use for it.
    """

    def after_seize(
        self, view: M, position: P, option: Option, quote: SeizeQuote
    ) -> tuple[M, P] | None:
        """Return market and position as the quoted liquidation leaves them, at the same moment.

        Exact for the option's pair and for the account's health; None when it cannot be said.
        """
        ...


@cache
def offers(kind: type, more: type) -> bool:
    """Return whether adapters of a kind offer what one of these protocols names.

    Asked once of each: to look through a protocol's members takes longer than to quote a seizure.
    """
    return issubclass(kind, more)
