"""One amount over several paths, so that the next unit would do equally well on each.

Within one price range every pool, and every chain of pools, gives ``out = a * x / (b + x)``. The
square root of the rate at which the next unit trades is then linear: its inverse in what is sold,
itself in what is bought. A few rounds of that straight line, drawn anew through the last two
points of each path, find where the rates are equal. The floats only propose: each proposal is
quoted in the pools' own integers, and the best of those is taken.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

from keeper.core.ports import Path, SwapQuote
from keeper.planner.exchange import Exchange

_ROUNDS: Final = 10
_CLOSE_SHIFT: Final = 24
"""Shares that move by less than ``1/2**24`` of the amount are left: the gain is flat there."""

Way = tuple[Path, ...]
"""The paths that a leg is divided over; they share no pool."""
Parts = tuple[SwapQuote, ...]
"""What goes along each path that something goes along."""
Part = SwapQuote | None
"""What goes along one path, None for nothing."""


def sell(exchange: Exchange, way: Way, amount: int) -> Parts | None:
    """Return the sales that together sell ``amount``, smallest first; None if none is."""
    if len(way) == 1:
        return _whole(exchange.exact_in(way[0], amount))

    def level(path: Path, part: Part) -> float:
        return 1 / sqrt(exchange.rate(path, part))

    side = _Side(quote=exchange.exact_in, level=level, worth=_brought)
    return _divided(side, way, amount)


def buy(exchange: Exchange, way: Way, amount: int) -> Parts | None:
    """Return the purchases that together buy ``amount``, smallest first; None if none is."""
    if len(way) == 1:
        return _whole(exchange.exact_out(way[0], amount))

    def level(path: Path, part: Part) -> float:
        return -sqrt(exchange.rate(path, part))

    side = _Side(quote=exchange.exact_out, level=level, worth=_spared)
    return _divided(side, way, amount)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """Selling or buying."""

    quote: Callable[[Path, int], SwapQuote | None]
    level: Callable[[Path, Part], float]
    """Rises with the amount, in a straight line within one price range."""
    worth: Callable[[SwapQuote], int]
    """More is better."""


def _whole(quote: SwapQuote | None) -> Parts | None:
    return None if quote is None else (quote,)


def _brought(quote: SwapQuote) -> int:
    return quote.amount_out


def _spared(quote: SwapQuote) -> int:
    return -quote.amount_in


def _divided(side: _Side, way: Way, amount: int) -> Parts | None:
    lines = [_Line(side, path) for path in way]
    shares = _integers([amount / len(way)] * len(way), amount)
    best: tuple[int, Parts] | None = None
    for _ in range(_ROUNDS):
        fits = [line.ask(share) for line, share in zip(lines, shares, strict=True)]
        if all(fits):
            parts = tuple(line.part for line in lines if line.part is not None)
            worth = sum(side.worth(part) for part in parts)
            if best is None or worth > best[0]:
                best = (worth, parts)
        before, shares = shares, _integers(_equalised(lines, amount), amount)
        if max(abs(a - b) for a, b in zip(before, shares, strict=True)) <= amount >> _CLOSE_SHIFT:
            break
    if best is None:
        return _best_single(side, way, amount)
    return tuple(sorted(best[1], key=lambda part: part.amount_in))


def _best_single(side: _Side, way: Way, amount: int) -> Parts | None:
    """Return the whole amount along one path: there may be too little of it to divide."""
    quotes = [quote for path in way if (quote := side.quote(path, amount)) is not None]
    return _whole(max(quotes, key=side.worth, default=None))


class _Line:
    """What is known of one path: a straight line through the last two points asked about."""

    def __init__(self, side: _Side, path: Path) -> None:
        self._side, self._path = side, path
        self._at = 0
        self._level = self.spot = side.level(path, None)
        self.gentleness = 0.0
        """Raw units that raise the level by one; 0 while unknown."""
        self._refused: int | None = None
        self.part: Part = None

    @property
    def cap(self) -> float | None:
        """Half way from what the pools took to what they refused; None before they refused."""
        return None if self._refused is None else (self._at + self._refused) / 2

    @property
    def zero(self) -> float:
        """Where the line would be at level 0."""
        return self._at - self._level * self.gentleness

    def ask(self, share: int) -> bool:
        """Quote another share; False when the pools cannot take it."""
        if share == self._at:
            return True
        part = self._side.quote(self._path, share) if share else None
        if share and part is None:
            self._refused = share
            return False
        level = self._side.level(self._path, part)
        if level != self._level:
            self.gentleness = (share - self._at) / (level - self._level)
        self._at, self._level, self.part = share, level, part
        return True

    def share_at(self, level: float) -> float:
        """Return the share at which the line reaches a level."""
        return self.zero + level * self.gentleness


def _equalised(lines: Sequence[_Line], amount: int) -> list[float]:
    """Return the shares at the common level at which they add up to ``amount``."""
    capped = {line: line.cap or 0.0 for line in lines if line.gentleness <= 0}
    while True:
        rest = amount - sum(capped.values())
        level, active = _common_level([line for line in lines if line not in capped], rest)
        over = [line for line in active if line.cap is not None and line.share_at(level) > line.cap]
        if not over:
            break
        capped |= {line: line.cap or 0.0 for line in over}
    shares = capped | {line: line.share_at(level) for line in active}
    return [shares.get(line, 0.0) for line in lines]


def _common_level(lines: Sequence[_Line], amount: float) -> tuple[float, Sequence[_Line]]:
    """Return the level, and the lines that begin below it: nothing goes along the others."""
    level = 0.0
    while lines:
        gentleness = sum(line.gentleness for line in lines)
        level = (amount - sum(line.zero for line in lines)) / gentleness
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
