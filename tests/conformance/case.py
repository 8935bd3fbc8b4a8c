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
    block: int = 0

    def view(self, prices: Mapping[str, Price] | None = None, *, later_s: int = 0) -> Any:
        """Return the market at the case's time and prices, or at others; a block is 12 s."""
        return self.at(self.prices if prices is None else prices, later_s=later_s)

    def at(self, prices: Mapping[str, Price], *, later_s: int = 0, market: Any = None) -> Any:
        """Return the market, or a view of it, at a time and at prices."""
        return self.adapter.at(
            self.market if market is None else market,
            block=self.block + later_s // 12,
            timestamp=self.timestamp + later_s,
            prices=prices,
        )

    def repriced(self, feed: str, bps: int) -> dict[str, Price]:
        """Return the prices with one of them scaled."""
        old = self.prices[feed]
        value = old.value * bps // 10_000
        moved = Price(value=value, block=old.block, updated_at=old.updated_at)
        return {**self.prices, feed: moved}
