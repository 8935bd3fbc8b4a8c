"""What a protocol brings to be held to the laws that every adapter obeys."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keeper.core.lending import AccountRef, Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An adapter with a market and accounts of every kind that it can tell apart."""

    name: str
    adapter: Any
    market: Any
    """Before any view: ``at`` is asked for those."""
    timestamp: int
    prices: Mapping[str, Price]
    """Every feed of the market."""
    positions: Mapping[AccountRef, Any]

    def view(self, prices: Mapping[str, Price] | None = None, *, later_s: int = 0) -> Any:
        """Return the market at the case's time and prices, or at others."""
        return self.adapter.at(
            self.market, timestamp=self.timestamp + later_s, prices=prices or self.prices
        )

    def repriced(self, feed: str, bps: int) -> dict[str, Price]:
        """Return the prices with one of them scaled."""
        old = self.prices[feed]
        value = old.value * bps // 10_000
        moved = Price(value=value, block=old.block, updated_at=old.updated_at)
        return {**self.prices, feed: moved}
