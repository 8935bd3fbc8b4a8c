"""The prices of one deployment at one moment, and which of them may not be acted on."""

from collections.abc import Mapping

from msgspec import Struct, field

from keeper.core.chain import BlockRef
from keeper.core.lending import Price
from keeper.core.units import Address
from keeper.oracle.chainlink import Round
from keeper.oracle.guards import Hold


class Evidence(Struct, frozen=True, kw_only=True):
    """What the guards judge by besides the prices."""

    rounds: Mapping[Address, Round | None] = field(default_factory=dict)
    """By proxy; None where it did not answer."""
    seconds: Mapping[str, int | None] = field(default_factory=dict)
    """The second source's price by feed id; None where it has none."""
    chain: str | None = None
    """Why nothing on this chain may be acted on, or None."""


class PriceBook(Struct, frozen=True, kw_only=True):
    """Prices by feed id, in the protocol's own scale.

    A feed that could not be read has no price. A price with a problem is shown, never acted on.
    """

    block: BlockRef
    prices: Mapping[str, Price]
    problems: Mapping[str, str]
    """Feed id to why nothing may be done on it, in words."""
    moved: str = ""
    """What moved since the book before, in words; empty when nothing did."""
    remarks: Mapping[str, str] = field(default_factory=dict)
    """Feed id to what should be known of it although it is sound."""
    holds: Mapping[str, Hold] = field(default_factory=dict)
    """Feeds that leapt, or are lost, by id."""
    evidence: Evidence = field(default_factory=Evidence)
