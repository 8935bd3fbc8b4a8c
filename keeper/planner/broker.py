"""Sales and purchases along ways at one exchange: each amount is asked for once.

The routes of an account share their ways and its offers their amounts, and how one amount is
divided tells most of how the next one is. What a broker says of an amount is always quoted in the
pools' own integers; which amounts it was asked for before only moves where the search begins.
"""

from collections.abc import Callable, Hashable
from typing import TypeVar, cast

from keeper.core.ports import Path, SwapQuote
from keeper.planner.division import Division, Parts, Side, Way, purchase, sale
from keeper.planner.exchange import Exchange

T = TypeVar("T")


class Broker:
    """Remembers what was quoted at an exchange; for as long as one account is planned."""

    def __init__(self, exchange: Exchange) -> None:
        """Quote nothing yet."""
        self.exchange = exchange
        self._sales = _Quotes(sale(exchange))
        self._purchases = _Quotes(purchase(exchange))
        self._kept: dict[Hashable, object] = {}

    def sell(self, way: Way, amount: int) -> Parts | None:
        """Return the sales that together sell ``amount``, smallest first; None if none is."""
        return self._sales.of(way, amount)

    def buy(self, way: Way, amount: int) -> Parts | None:
        """Return the purchases that together buy ``amount``, smallest first; None if none is."""
        return self._purchases.of(way, amount)

    def after(self, *quotes: SwapQuote) -> "Broker":
        """Return a broker at the exchange as swaps leave it."""
        return Broker(self.exchange.after(*quotes))

    def kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what was made for a key at this exchange, made now if it was not."""
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = make()
        return cast("T", found)


class _Quotes:
    """Of one side, by way and amount."""

    def __init__(self, side: Side[Path, SwapQuote]) -> None:
        self._side = side
        self._ways: dict[Way, tuple[Division, dict[int, Parts | None]]] = {}

    def of(self, way: Way, amount: int) -> Parts | None:
        known = self._ways.get(way)
        if known is None:
            known = self._ways[way] = (Division(self._side, way), {})
        division, quoted = known
        if amount not in quoted:
            quoted[amount] = division.of(amount)
        return quoted[amount]
