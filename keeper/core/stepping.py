"""What a protocol whose rules cap one call tells of the next call in the same transaction."""

from typing import Protocol, TypeVar, runtime_checkable

from keeper.core.lending import Option, SeizeQuote

M = TypeVar("M")
P = TypeVar("P")


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
