"""What a protocol tells the float screen about its accounts. Floats sort out; integers decide.

Every lending protocol mirrored here judges an account by a sum that is linear in prices: weighted
collateral less debt. An adapter splits that sum in two: what belongs to the account and changes
only when the account is touched (``Exposure``), and what belongs to the market and moves with time
and governance (``Factor``). The screen multiplies one by the other for every account at once.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from msgspec import Struct

from keeper.core.chain import Log, LogFilter
from keeper.core.lending import AccountRef
from keeper.core.log_columns import LogColumns

M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)
P = TypeVar("P")

FactorKey = int
"""The adapter's own number of a factor: a reserve's debt, a market's collateral."""


class Factor(NamedTuple):
    """What a unit of weight is worth at one moment: ``rate`` times the feed's price.

    A debt has a negative rate. A rate that is not a number sends every account that has the
    factor to the exact rules.
    """

    feed: str | None
    """The price that enters, as raw integer in the protocol's scale; None when there is none."""
    rate: float


class Exposure(Struct, frozen=True, kw_only=True):
    """An account as a weighted sum of factors. Weights are not negative.

    With exact factors, ``sum(weight * rate * price) >= slack`` must imply that the account is not
    liquidatable, at every price: whatever the protocol's integers round or floor away is in the
    weights (rounded against the account), in the rates or in ``slack``. Of float errors an adapter
    owes only that weights and rates are each within three roundings (3 * 2**-53, relative); the
    screen answers for its own.
    """

    terms: tuple[tuple[FactorKey, float], ...]
    slack: float
    """In the unit of the sum; at least what rounding to that unit may cost."""


@runtime_checkable
class Screened(Protocol[M, P]):
    """An adapter whose accounts can be screened. Those of other adapters are all decided exactly.

    ``M`` is the market and its views, ``P`` a position, as in ``ProtocolAdapter``.
    """

    def exposure(self, market: M, position: P) -> Exposure | None:
        """Return the account's weights; None when its health is no such sum."""
        ...

    def factor(self, view: M, key: FactorKey) -> Factor:
        """Return what the key's weights are worth at the view's time."""
        ...

    def repriced(self, view: M, prices: Mapping[str, int]) -> M:
        """Return the view with some prices replaced, at the same time."""
        ...

    def pack(self, position: P) -> bytes:
        """Return the position as few bytes."""
        ...

    def unpack(self, packed: bytes) -> P:
        """Return the position that was packed."""
        ...


@runtime_checkable
class Discovering(Protocol[M_contra]):
    """An adapter that finds its borrowers in columns of logs, without an object for each."""

    def borrowers(self, market: M_contra, logs: LogColumns) -> frozenset[AccountRef]:
        """Return the accounts that the logs of ``discovery_filter`` name, as ``touched`` would."""
        ...


@runtime_checkable
class Opening(Protocol[M_contra]):
    """An adapter whose deployment logs from when on accounts can be in a place."""

    def opening_filter(self, market: M_contra) -> LogFilter:
        """Return the logs that say so."""
        ...

    def opened(self, market: M_contra, logs: Sequence[Log]) -> frozenset[str]:
        """Return ``AccountRef.market`` of each place where nobody was before the logs."""
        ...
