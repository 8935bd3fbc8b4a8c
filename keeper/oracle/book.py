"""The prices of one deployment at one moment, and which of them may not be acted on."""

from collections.abc import Mapping
from dataclasses import dataclass

from keeper.core.chain import BlockRef
from keeper.core.lending import Price


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """Prices by feed id, in the protocol's own scale.

    A feed that could not be read has no price. A price with a problem is shown, never acted on.
    """

    block: BlockRef
    prices: Mapping[str, Price]
    problems: Mapping[str, str]
    """Feed id to why nothing may be done on it, in words."""
    moved: str = ""
    """What moved since the book before, in words; empty when nothing did."""
