"""At which price of each feed an account may cross the line, sorted: a price event is a look-up.

Who owns nothing of a feed and is under the line stays so: those are listed at every price. For the
others, with all other factors held, the sum is ``a * price + b`` in one feed. Where ``a > 0`` it is
under the line below the trigger price ``(slack - b) / a``; where ``a < 0``, above it; without a
trigger, always or never. ``a`` and ``b`` are computed as the screen computes its sums, with every
value lowered, so that they err on the safe side for the same reasons (``keeper.scanner.screen``);
three roundings more, of the price and of the quotient, are in ``_MARGIN``.

The index is of use for as long as no other factor is worth less than was assumed; ``_DRIFT`` is
lowered beforehand, which interest takes an hour to use up. The hot set assumes ``_HOT_DRIFT`` of
every factor: while that holds only its accounts can have crossed, whatever moved. Accounts that
changed since are listed apart.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from keeper.scanner.columns import Block, Floats, Ints, Keys
from keeper.scanner.screen import slots_under, some_under, sums
from keeper.scanner.worth import EPSILON, Worth, lowered

_MARGIN: Final = 2.0**-48
_DRIFT: Final = 1e-5
_HOT_DRIFT: Final = 0.03


class Side(NamedTuple):
    """Trigger prices in ascending order, and the places they are of."""

    prices: Floats
    places: Ints


class Triggers(NamedTuple):
    """The trigger prices of one feed."""

    falling: Side
    """Under the line below the price; infinite where at any price."""
    rising: Side
    """Under the line above the price."""

    def at(self, price: float) -> NDArray[np.int64]:
        """Return the places that may be under the line at a price."""
        below = self.falling.places[self.falling.prices.searchsorted(price, "right") :]
        above = self.rising.places[: self.rising.prices.searchsorted(price, "left")]
        return np.concatenate((below, above)).astype(np.int64)

    def next_to(self, price: float, many: int) -> NDArray[np.int64]:
        """Return the places that cross first when the price falls, and when it rises."""
        below = int(self.falling.prices.searchsorted(price, "right"))
        above = int(self.rising.prices.searchsorted(price, "left"))
        falling = self.falling.places[max(below - many, 0) : below]
        rising = self.rising.places[above : above + many]
        return np.concatenate((falling, rising)).astype(np.int64)


class Hot(NamedTuple):
    """Accounts of one width that are near the line."""

    places: NDArray[np.int64]
    keys: Keys
    weights: Floats
    slack: NDArray[np.float32]


class Index(Struct, frozen=True, kw_only=True):
    """Everybody's trigger prices, and who is near the line, as of when it was built."""

    rates: Floats
    values: Floats
    """What the trigger prices assume of the other factors, at least."""
    hot_values: Floats
    feed_of: NDArray[np.intp]
    triggers: dict[str, Triggers]
    hot: tuple[Hot, ...]
    changed: set[int] = field(default_factory=set)
    """Places written since, which are to be looked at besides."""

    def is_sound_for(self, worth: Worth, feed: str) -> bool:
        """Return whether the feed's trigger prices hold though the market moved on."""
        many = len(self.rates)
        if feed not in self.triggers or not np.array_equal(self.feed_of, worth.feed_of[:many]):
            return False
        if np.isnan(worth.prices[worth.feeds[feed]]):
            return False
        own = self.feed_of == worth.feeds[feed]
        rates, values = worth.rates[:many], worth.values[:many]
        kept = np.where(own, _holds(rates, self.rates), _holds(values, self.values))
        return bool(kept.all())

    def sound_feeds(self, worth: Worth) -> list[str]:
        """Return the feeds whose trigger prices hold."""
        return [feed for feed in worth.feeds if self.is_sound_for(worth, feed)]

    def is_hot_sound_for(self, worth: Worth) -> bool:
        """Return whether only hot accounts can be under the line."""
        return bool(_holds(worth.values[: len(self.rates)], self.hot_values).all())

    def hot_under(self, values: Floats) -> NDArray[np.int64]:
        """Return the places of hot accounts that may be under the line."""
        found = [
            one.places[some_under(one.keys, one.weights, one.slack, values)] for one in self.hot
        ]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    @property
    def nbytes(self) -> int:
        """Return the size of its arrays."""
        sides = [side for one in self.triggers.values() for side in one]
        arrays = [array for side in sides for array in side]
        return sum(array.nbytes for array in (*arrays, *(a for one in self.hot for a in one)))


def build_index(blocks: Sequence[tuple[int, Block]], worth: Worth, changed: set[int]) -> Index:
    """Compute every trigger price. May run in a thread beside the writer of the blocks.

    ``changed`` is to be told every place that is written from before the call on.
    """
    values = lowered(worth.values, _DRIFT)
    rates = lowered(lowered(worth.rates, EPSILON), _DRIFT)
    hot_values = lowered(worth.values, _HOT_DRIFT)
    feed_of = worth.feed_of.astype(np.uint16)  # there are no more factors than that
    parts = [_part(first, block, values, feed_of) for first, block in blocks]
    return Index(
        rates=rates,
        values=values,
        hot_values=hot_values,
        feed_of=worth.feed_of,
        triggers={
            feed: _triggers(parts, feed_of, number, rates, values)
            for feed, number in worth.feeds.items()
        },
        hot=tuple(_hot(first, block, hot_values) for first, block in blocks),
        changed=changed,
    )


class _Part(NamedTuple):
    """A block as it was, with the slots of those that may be under the line already."""

    first: int
    block: Block
    used: int
    under: NDArray[np.intp]
    feeds: NDArray[np.uint16]
    """The feed of each term, gone through for every feed."""


def _part(first: int, block: Block, values: Floats, feed_of: NDArray[np.uint16]) -> _Part:
    used = block.used  # before the arrays: they only grow
    under = slots_under(block, values)
    # "clip", for a place written meanwhile may have a newer key.
    feeds = feed_of.take(block.keys[:, :used], mode="clip")
    return _Part(first, block, used, under[under < used], feeds)


def _holds(now: Floats, assumed: Floats) -> NDArray[np.bool_]:
    """Return which factors are worth what was assumed; without a number nothing was."""
    held: NDArray[np.bool_] = (now >= assumed) | np.isnan(assumed)
    return held


def _hot(first: int, block: Block, values: Floats) -> Hot:
    slots = slots_under(block, values)
    return Hot(
        places=first + slots.astype(np.int64),
        keys=np.ascontiguousarray(block.keys[:, slots]),
        weights=np.ascontiguousarray(block.weights[:, slots]),
        slack=block.slack[slots],
    )


def _triggers(
    parts: Iterable[_Part],
    feed_of: NDArray[np.uint16],
    number: int,
    rates: Floats,
    values: Floats,
) -> Triggers:
    """Compute one feed's trigger prices over all blocks."""
    own = feed_of == number
    own_rates, other_values = np.where(own, rates, 0.0), np.where(own, 0.0, values)
    sides = [_of_block(part, number, own_rates, other_values) for part in parts]
    falling = _sorted([one[0] for one in sides])
    rising = _sorted([one[1] for one in sides])
    return Triggers(falling, rising)


def _of_block(
    part: _Part, number: int, own_rates: Floats, other_values: Floats
) -> tuple[Side, Side]:
    first, block, _, under, feeds = part
    exposed = (feeds == number).any(axis=0)
    slots = np.flatnonzero(exposed)
    keys, weights = block.keys.take(slots, axis=1), block.weights.take(slots, axis=1)
    slack = block.slack[slots]
    a, b = sums(keys, weights, own_rates), sums(keys, weights, other_values)
    with np.errstate(all="ignore"):
        missing = slack - b
        price = missing / a
    always = np.isnan(price) | ((a <= 0) & (missing > 0))
    falls = always | ((a > 0) & (missing > 0))
    rises = ~always & (a < 0)
    places = (first + slots).astype(np.int32)
    others = (first + under[~exposed[under]]).astype(np.int32)
    falling = np.where(always, np.inf, price * (1 + _MARGIN))[falls]
    return (
        Side(
            np.concatenate((falling, np.full(len(others), np.inf))),
            np.concatenate((places[falls], others)),
        ),
        Side((price * (1 - _MARGIN))[rises], places[rises]),
    )


def _sorted(sides: list[Side]) -> Side:
    if not sides:
        return Side(np.zeros(0), np.zeros(0, np.int32))
    prices = np.concatenate([side.prices for side in sides])
    places = np.concatenate([side.places for side in sides])
    order = np.argsort(prices)  # equal prices are looked up together, in whatever order
    return Side(prices[order], places[order])
