"""What each factor is worth now: rates of the market, times prices."""

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from keeper.core.screening import FactorKey, M, P, Screened
from keeper.core.values import replace

Floats = NDArray[np.float64]

EPSILON = 2.0**-40
"""What every sum is lowered by, relative to each of its terms. See ``keeper.scanner.screen``."""


class Worth(Struct, frozen=True, kw_only=True):
    """Rates and prices by column number. Immutable: a move makes another one."""

    rates: Floats
    feed_of: NDArray[np.intp]
    """The number of each factor's feed; 0 where no price enters."""
    feeds: Mapping[str, int]
    """Feed ids to their numbers, from 1."""
    prices: Floats
    """By feed number; not a number where there is no usable price."""
    values: Floats
    """What a unit of weight is worth, lowered for the errors of floats."""

    def with_prices(self, prices: Mapping[str, int]) -> "Worth":
        """Return it after feeds moved."""
        moved = self.prices.copy()
        for feed, price in prices.items():
            if number := self.feeds.get(feed):
                moved[number] = _usable(price)
        return replace(self, prices=moved, values=_values(self.rates, self.feed_of, moved))


def worth_of(
    adapter: Screened[M, P], view: M, keys: Sequence[FactorKey], prices: Mapping[str, int]
) -> Worth:
    """Return what the factors are worth in a view; ``keys[0]`` stands for no factor."""
    numbers: dict[str, int] = {}
    rates, feed_of = [0.0], [0]
    for key in keys[1:]:
        feed, rate = adapter.factor(view, key)
        rates.append(rate)
        feed_of.append(0 if feed is None else numbers.setdefault(feed, len(numbers) + 1))
    known = np.array([1.0, *(_usable(prices.get(feed, 0)) for feed in numbers)])
    all_rates, all_feeds = np.array(rates), np.array(feed_of, np.intp)
    return Worth(
        rates=all_rates,
        feed_of=all_feeds,
        feeds=numbers,
        prices=known,
        values=_values(all_rates, all_feeds, known),
    )


def lowered(values: Floats, share: float) -> Floats:
    """Return values moved down by a share of their size; what is not a number stays so."""
    return values - np.abs(values) * share


def _values(rates: Floats, feed_of: NDArray[np.intp], prices: Floats) -> Floats:
    with np.errstate(all="ignore"):
        return lowered(rates * prices[feed_of], EPSILON)


def _usable(price: int) -> float:
    """Return a price as a float; not a number when the protocol's rules are not linear in it."""
    return float(price) if price > 0 else np.nan
