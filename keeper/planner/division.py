"""One amount over several paths, so that the next unit would do equally well on each.

Within one price range every pool, and every chain of pools, gives ``out = a * x / (b + x)``. The
square root of the rate at which the next unit trades is then linear: its inverse in what is sold,
itself in what is bought. A few rounds of that straight line, drawn anew through the last two
points of each path, find where the rates are equal. The floats only propose: each proposal is
quoted in the pools' own integers, and the best of those is taken.
"""

from collections.abc import Callable, Iterable, Sequence
from math import sqrt
from typing import Any, Final, Generic, TypeVar, cast

from msgspec import Struct

from keeper.core.ports import Path, SwapQuote
from keeper.planner.exchange import Exchange

_ROUNDS: Final = 10
_CLOSE_SHIFT: Final = 24
"""Shares that move by less than ``1/2**24`` of the amount are left: the gain is flat there."""
_BEGIN_SHIFT: Final = 4
"""Where a path refused its first share, the next one is ``1/2**4`` of it."""

Way = tuple[Path, ...]
"""The paths that a leg is divided over; they share no pool."""
Parts = tuple[SwapQuote, ...]
"""What goes along each path that something goes along."""
P = TypeVar("P")
"""A path, or what stands for one."""
Q = TypeVar("Q")
"""What goes along it."""

Part = SwapQuote | None
"""What goes along one path, None for nothing."""


def sale(exchange: Exchange) -> "Side[Path, SwapQuote]":
    """Return how sales are divided."""

    def level(path: Path, part: Part) -> float:
        return 1 / sqrt(exchange.rate(path, part))

    return Side(quote=exchange.exact_in, level=level, worth=_brought)


def purchase(exchange: Exchange) -> "Side[Path, SwapQuote]":
    """Return how purchases are divided."""

    def level(path: Path, part: Part) -> float:
        return -sqrt(exchange.rate(path, part))

    return Side(quote=exchange.exact_out, level=level, worth=_spared)


class Side(Struct, Generic[P, Q], frozen=True, kw_only=True):
    """Selling or buying along paths of some kind."""

    quote: Callable[[P, int], Q | None]
    level: Callable[[P, Q | None], float]
    """Rises with the amount, in a straight line within one price range."""
    worth: Callable[[Q], int]
    """More is better."""


def _whole(quote: SwapQuote | None) -> Parts | None:
    return None if quote is None else (quote,)


def _brought(quote: SwapQuote) -> int:
    return quote.amount_out


def _spared(quote: SwapQuote) -> int:
    return -quote.amount_in


class Division:
    """Divides amounts over a way; where the last one was nearby it begins from there."""

    def __init__(self, side: Side[Path, SwapQuote], way: Way) -> None:
        """Divide nothing yet."""
        self._side, self._way = side, way
        self._lines: list[Line[Path, SwapQuote]] = []
        self._last = 0

    def of(self, amount: int) -> Parts | None:
        """Return what goes along each path, smallest first; None if nothing fits."""
        if len(self._way) == 1:
            return _whole(self._side.quote(self._way[0], amount))
        best: tuple[int, Parts] | None = None
        shares = self._begun(amount)
        for _ in range(_ROUNDS):
            fits = [line.ask(share) for line, share in zip(self._lines, shares, strict=True)]
            if all(fits):
                best = max(filter(None, (best, self._asked())), key=lambda one: one[0])
            before, shares = shares, proposed(self._lines, amount)
            moved = max(abs(a - b) for a, b in zip(before, shares, strict=True))
            if moved <= amount >> _CLOSE_SHIFT:
                break
        return _best_single(self._side, self._way, amount) if best is None else in_order(best[1])

    def _begun(self, amount: int) -> list[int]:
        """Return the shares to ask for first: equal ones where no lines are known nearby."""
        is_near, self._last = are_near(self._last, amount), amount
        if is_near and all(line.gentleness > 0 for line in self._lines):
            return proposed(self._lines, amount)
        self._lines = [Line(self._side, path) for path in self._way]
        return evenly(self._lines, amount)

    def _asked(self) -> tuple[int, Parts]:
        """Return the worth of the shares asked for, and their quotes."""
        parts = tuple(line.part for line in self._lines if line.part is not None)
        return sum(self._side.worth(part) for part in parts), parts


def are_near(last: int, amount: int) -> bool:
    """Return whether lines that were drawn at one amount say much of another."""
    return last < 2 * amount < 4 * last


def evenly(lines: "Sequence[AnyLine]", amount: int) -> list[int]:
    """Return equal shares."""
    return _integers([amount / len(lines)] * len(lines), amount)


def proposed(lines: "Sequence[AnyLine]", amount: int) -> list[int]:
    """Return the shares of ``amount`` at which the lines say that the rates are equal."""
    return _integers(_equalised(lines, amount), amount)


def in_order(parts: Iterable[Part]) -> Parts:
    """Return the parts that there are, smallest first."""
    return tuple(sorted(filter(None, parts), key=lambda part: part.amount_in))


def _best_single(side: Side[Path, SwapQuote], way: Way, amount: int) -> Parts | None:
    """Return the whole amount along one path: there may be too little of it to divide."""
    quotes = [quote for path in way if (quote := side.quote(path, amount)) is not None]
    return _whole(max(quotes, key=side.worth, default=None))


class Line(Generic[P, Q]):
    """What is known of one path: a straight line through the last two points asked about."""

    def __init__(self, side: Side[P, Q], path: P) -> None:
        self._side, self.path = side, path
        self._at = 0
        self._level = self.spot = side.level(path, None)
        self.gentleness = 0.0
        """Raw units that raise the level by one; 0 while unknown."""
        self._took, self._refused = 0, cast("int | None", None)
        self.part: Q | None = None

    @property
    def cap(self) -> float | None:
        """Half way from what the pools took to what they refused; None before they refused."""
        return None if self._refused is None else (self._took + self._refused) / 2

    @property
    def least(self) -> float:
        """A part of what they refused, to begin with; 0 before they did."""
        return 0.0 if self._refused is None else self._refused / 2**_BEGIN_SHIFT

    @property
    def zero(self) -> float:
        """Where the line would be at level 0."""
        return self._at - self._level * self.gentleness

    def ask(self, share: int) -> bool:
        """Quote another share; False when the pools cannot take it."""
        if share == self._at:
            return True
        if not self.quote(share):
            return False
        level = self.level
        if level != self._level:
            self.gentleness = (share - self._at) / (level - self._level)
        self._at, self._level, self._took = share, level, share
        return True

    @property
    def level(self) -> float:
        """What the level is after the part that was quoted last."""
        return self._side.level(self.path, self.part)

    def quote(self, share: int) -> bool:
        """Quote another share and draw nothing yet; False when the pools cannot take it."""
        part = self._side.quote(self.path, share) if share else None
        if share and part is None:
            self._refused = share
            return False
        self.part = part
        return True

    def refuse(self, share: int, *, took: bool) -> None:
        """Take less than such a share, whatever the pools can; ``took`` if less was good before."""
        self._refused = share
        self._took = self._took if took else 0

    def forgive(self) -> None:
        """Forget what was refused: of another amount it may be taken."""
        self._refused, self._took = None, 0

    def recall(self, drawn: "Line[P, Q]") -> None:
        """Take over what another line of the path was drawn to."""
        self._at, self._level, self.gentleness = drawn.drawn

    @property
    def drawn(self) -> tuple[int, float, float]:
        """Its last point, and its gentleness."""
        return self._at, self._level, self.gentleness

    def draw(self, share: int, level: float, *, is_first: bool = False) -> None:
        """Draw the line to a point whose level other lines have moved as well, and so the spot.

        The first one shifts it: what moved the level since the last point was not the share.
        """
        if share != self._at and level != self._level and not is_first:
            slope = (share - self._at) / (level - self._level)
            self.gentleness = slope if slope > 0 else self.gentleness
        self._at, self._level, self._took = share, level, share
        if self.gentleness > 0:
            self.spot = -self.zero / self.gentleness

    def share_at(self, level: float) -> float:
        """Return the share at which the line reaches a level."""
        return self.zero + level * self.gentleness


AnyLine = Line[Any, Any]


def _equalised(lines: Sequence[AnyLine], amount: int) -> list[float]:
    """Return the shares at the common level at which they add up to ``amount``."""
    capped = {line: line.least for line in lines if line.gentleness <= 0}
    while True:
        rest = amount - sum(capped.values())
        level, active = _common_level([line for line in lines if line not in capped], rest)
        over = [line for line in active if line.cap is not None and line.share_at(level) > line.cap]
        if not over:
            break
        capped |= {line: line.cap or 0.0 for line in over}
    shares = capped | {line: line.share_at(level) for line in active}
    return [shares.get(line, 0.0) for line in lines]


def _common_level(lines: Sequence[AnyLine], amount: float) -> tuple[float, Sequence[AnyLine]]:
    """Return the level, and the lines that begin below it: nothing goes along the others."""
    level = 0.0
    while lines:
        gentleness = zeros = 0.0
        for line in lines:
            gentleness += line.gentleness
            zeros += line.zero
        level = (amount - zeros) / gentleness
        below = [line for line in lines if line.spot < level]
        if len(below) == len(lines):
            break
        lines = below
    return level, lines


def _integers(shares: Sequence[float], amount: int) -> list[int]:
    """Round shares to integers that add up to ``amount``; the largest takes the rest."""
    rounded = [max(0, min(int(share), amount)) for share in shares]
    most = max(range(len(rounded)), key=rounded.__getitem__)
    rounded[most] = max(0, rounded[most] + amount - sum(rounded))
    return rounded
