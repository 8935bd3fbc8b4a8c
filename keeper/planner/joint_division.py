"""What is owed, bought with collateral and with what the rest of it is sold for, divided at once.

What comes along one path then depends on the others: a unit more that is bought with collateral is
one less to sell, and where purchase and sale share a pool the one finds it as the other leaves it.
Swaps of one direction come to the same in any order, so that the rates that are to be equal are
those at the end of all, in collateral or in what a unit of it is sold for there. They are found by
the straight lines of ``division``; what counts of a proposal is what is left at its end, in the
pools' own integers.
"""

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import Any, Final

from msgspec import Struct

from keeper.core.ports import Path
from keeper.core.units import Address
from keeper.planner.broker import Broker
from keeper.planner.division import (
    AnyLine,
    Line,
    Part,
    Parts,
    Side,
    Way,
    are_near,
    evenly,
    in_order,
    proposed,
    purchase,
)
from keeper.planner.exchange import Exchange

_START_ROUNDS: Final = 2
_ROUNDS: Final = 12
_CLOSE_SHIFT: Final = 14
"""Shares that move by less than ``1/2**14`` of the amount are left: the gain is flat there."""


class Joint(Struct, frozen=True, kw_only=True):
    """All swaps of a route, by what pays for them."""

    repay: Parts
    """Bought with collateral."""
    sale: Parts
    """The rest of the collateral."""
    buyback: Parts
    """Bought with what the sale brings."""
    after: Exchange
    """As it is when the sale begins."""

    def goes_along(self, ways: "Ways") -> bool:
        """Return whether nothing goes along other paths."""
        swaps = (self.repay, self.sale, self.buyback)
        return all(
            all(part.path in way for part in parts)
            for parts, way in zip(swaps, ways.legs, strict=True)
        )

    @property
    def proceeds(self) -> int:
        """What is left of what the sale brings, raw units; negative when it is too little."""
        brought = sum(part.amount_out for part in self.sale)
        return brought - sum(part.amount_in for part in self.buyback)

    @property
    def price(self) -> float:
        """What the next unit of collateral would be sold for."""
        return max(self.after.rate(part.path, part) for part in self.sale)


class Ways(Struct, frozen=True, kw_only=True):
    """The paths that a purchase and the sale behind it are divided over.

    Those of ``buyback`` share no pool with the others.
    """

    repay: Way
    sale: Way
    buyback: Way

    def are_of(self, wider: "Ways") -> bool:
        """Return whether all paths are among those of other ways."""
        return all(map(_is_within, self.legs, wider.legs))

    @property
    def legs(self) -> tuple[Way, Way, Way]:
        """The three ways."""
        return self.repay, self.sale, self.buyback

    @property
    def is_crossed(self) -> bool:
        """Whether the sale finds pools as the purchases with collateral leave them."""
        return not pools(self.repay).isdisjoint(pools(self.sale))


def _is_within(way: Way, wider: Way) -> bool:
    return all(path in wider for path in way)


def pools(way: Iterable[Path]) -> set[Address]:
    """Return the pools that paths go through."""
    return {hop.pool for path in way for hop in path}


def divide(broker: Broker, ways: Ways, *, owed: int, held: int) -> Joint | None:
    """Buy ``owed`` and sell the rest of ``held`` so that most is left; None if nothing fits.

    Where wider ways came to leave out what these do not have, that is it.
    """
    tried: list[tuple[Ways, Joint]] = broker.kept((owed, held), list)
    for wider, joint in tried:
        if ways.are_of(wider) and joint.goes_along(ways):
            return joint
    found = _divided(broker, ways, owed=owed, held=held)
    if found is not None:
        tried.append((ways, found))
    return found


def _divided(broker: Broker, ways: Ways, *, owed: int, held: int) -> Joint | None:
    """Divide beginning with the lines of the amounts that were divided before."""
    lines, best = broker.kept(ways, lambda: _Lines(broker, ways)), None
    shares = lines.start(owed, held)
    for _ in range(_ROUNDS):
        if lines.quote(shares):
            found = lines.followed(shares, is_first=best is None)
            if found is not None and (best is None or found.proceeds > best.proceeds):
                best = found
        before, shares = shares, proposed(lines.all, owed)
        if max(abs(a - b) for a, b in zip(before, shares, strict=True)) <= owed >> _CLOSE_SHIFT:
            break
    return best


class _Lines:
    """The lines of all paths that something is bought along."""

    def __init__(self, broker: Broker, ways: Ways) -> None:
        self._broker, self._ways = broker, ways
        self._owed = self._held = 0
        self._drawn: dict[Any, tuple[int, AnyLine]] = broker.kept("drawn", dict)
        self._own: list[AnyLine] = []
        self._back: list[AnyLine] = []
        self.all: list[AnyLine] = []

    def start(self, owed: int, held: int) -> list[int]:
        """Return about the shares that would be best.

        Lines that were drawn at the end of all for an amount nearby say that, whichever other paths
        were beside theirs; new ones say what it would be if no line moved another.
        """
        is_near = are_near(self._owed, owed)
        self._owed, self._held = owed, held
        if is_near and all(line.gentleness > 0 for line in self.all):
            for line in self.all:
                line.forgive()
            return proposed(self.all, owed)
        return self._started(owed)

    def _started(self, owed: int) -> list[int]:
        broker, ways = self._broker, self._ways
        self._own = [Line(purchase(broker.exchange), path) for path in ways.repay]
        side = _out_of_the_sale(broker, ways.sale)
        self._back = [Line(side, ways.buyback)] if ways.buyback else []
        self.all = [*self._own, *self._back]
        if self._recalled(owed):
            return proposed(self.all, owed)
        shares, fit = evenly(self.all, owed), 0
        for _ in range(_ROUNDS):
            asked = [line.ask(share) for line, share in zip(self.all, shares, strict=True)]
            fit += all(asked)
            shares = proposed(self.all, owed)
            if fit == _START_ROUNDS:
                break
        return shares

    def _recalled(self, owed: int) -> bool:
        """Take over what all lines were drawn to beside others, if that was for amounts nearby."""
        known = [self._drawn.get(line.path, (0, line)) for line in self.all]
        if not all(are_near(last, owed) and line.gentleness > 0 for last, line in known):
            return False
        for line, (_, other) in zip(self.all, known, strict=True):
            line.recall(other)
        return True

    def quote(self, shares: Sequence[int]) -> bool:
        """Quote shares; False when the pools cannot take them."""
        asked = [line.quote(share) for line, share in zip(self.all, shares, strict=True)]
        return all(asked)

    def followed(self, shares: Sequence[int], *, is_first: bool) -> Joint | None:
        """Sell what the shares leave of the collateral, and draw the lines as all of it ends.

        None when nothing is left, or more than can be sold: then less is asked for of those that
        are to blame.
        """
        repay = in_order(line.part for line in self._own)
        rest = self._held - sum(part.amount_in for part in repay)
        after = self._broker.after(*repay) if self._ways.is_crossed else self._broker
        sale = after.sell(self._ways.sale, rest) if rest > 0 else None
        if sale is None:
            self._blame(shares, self._own if rest <= 0 else self._back, took=not is_first)
            return None
        buyback = self._back[0].part or () if self._back else ()
        found = Joint(repay=repay, sale=sale, buyback=buyback, after=after.exchange)
        for line, share, level in zip(self.all, shares, self._levels(found), strict=True):
            line.draw(share, level, is_first=is_first)
            self._drawn[line.path] = (self._owed, line)
        return found

    def _blame(self, shares: Sequence[int], lines: Sequence[AnyLine], *, took: bool) -> None:
        for line, share in zip(self.all, shares, strict=True):
            if line in lines:
                line.refuse(share, took=took)
            else:
                line.draw(share, line.level)

    def _levels(self, found: Joint) -> list[float]:
        """Return each line's level at the end of all, in collateral."""
        own = [line.level for line in self._own]
        if self._ways.is_crossed:
            end = found.after.after(*found.sale)
            own = [-sqrt(end.rate(line.path, None)) for line in self._own]
        back = [_level(found.after, line.path, line.part, found.price) for line in self._back]
        return [*own, *back]


def _out_of_the_sale(broker: Broker, sale: Way) -> Side[Way, Parts]:
    """Return how purchases out of the sale are divided from others: all of them together."""
    spot = max(broker.exchange.rate(path, None) for path in sale)

    def level(way: Way, parts: Parts | None) -> float:
        return _level(broker.exchange, way, parts, spot)

    return Side(quote=broker.buy, level=level, worth=len)


def _level(exchange: Exchange, way: Way, parts: Parts | None, price: float) -> float:
    """Return the level at which more is bought of what the sale brings for a unit sold."""
    along: dict[Path, Part] = dict.fromkeys(way) | {part.path: part for part in parts or ()}
    return -sqrt(max(exchange.rate(path, part) for path, part in along.items()) * price)
