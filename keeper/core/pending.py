"""What the mempool tells before a block does."""

from collections.abc import Mapping

from msgspec import Struct

from keeper.core.chain import Transaction
from keeper.core.units import Address, Hash32


class PendingTransaction(Struct, frozen=True, kw_only=True):
    """A transaction that no block has yet. It may never have one."""

    hash: Hash32
    sender: Address
    to: Address | None
    """None creates a contract."""
    data: bytes
    value: int = 0
    """Wei."""


class Lead(Struct, frozen=True, kw_only=True):
    """A pending transaction of somebody else that ours are to follow in one bundle."""

    raw: bytes
    """Signed, as it may be sent."""
    transaction: Transaction


class PendingPrice(Struct, frozen=True, kw_only=True):
    """What a pending transaction would make of prices, should it be included.

    Nobody has checked its signatures: it foretells, it proves nothing.
    """

    tx_hash: Hash32
    aggregator: Address
    answer: int
    """The aggregator's next answer, in its own decimals."""
    prices: Mapping[str, int]
    """Feed id to the price in the protocol's scale, for the feeds that are the answer itself."""
    also: frozenset[str] = frozenset()
    """Feeds that an adapter makes of the answer: they move as well, it is not known how far."""
