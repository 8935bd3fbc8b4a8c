"""A price as one of the answers that it is reckoned from moves, and the way back."""

from collections.abc import Mapping
from math import prod
from typing import NamedTuple

from keeper.core.lending import Formula
from keeper.core.units import Address

Answers = Mapping[Address, int]
"""By the proxy."""


class Slope(NamedTuple):
    """A price by one answer, the others as they are; rounded down, as a contract does it."""

    over: bool
    """Whether the price grows with the answer; else it is divided by it."""
    up: int
    down: int
    most: int | None = None
    """The highest price that there is."""

    def at(self, answer: int) -> int:
        """Return the price at a positive answer."""
        over, up, down, most = self
        price = answer * up // down if over else up // (answer * down)
        return price if most is None else min(price, most)

    def reaching(self, price: int, *, falls: bool) -> int:
        """Return the answer at which the price has just fallen, or risen, to ``price`` or past it.

        Zero where no answer does, or every one.
        """
        if self.most is not None and (price >= self.most if falls else price > self.most):
            return 0
        if self.over and falls:
            return ((price + 1) * self.down - 1) // self.up
        if self.over:
            return -(-price * self.down // self.up)
        if falls:
            return self.up // ((price + 1) * self.down) + 1
        return self.up // (price * self.down) if price else 0


def slope_of(formula: Formula, proxy: Address, answers: Answers) -> Slope | None:
    """Return the price by a feed's answer; None where another's is missing or no price."""
    over = [answers.get(one, 0) for one in formula.over if one != proxy]
    under = [answers.get(one, 0) for one in formula.under if one != proxy]
    up, down = formula.scale * prod(over), formula.by * prod(under)
    if up <= 0 or down <= 0 or min((*over, *under), default=1) < 0:
        return None
    return Slope(proxy in formula.over, up, down, formula.most)


def reckoned(formula: Formula, answers: Answers) -> int | None:
    """Return the price that answers make; None where one is missing or no price."""
    first = (*formula.over, *formula.under)[0]
    slope, answer = slope_of(formula, first, answers), answers.get(first, 0)
    return None if slope is None or answer <= 0 else slope.at(answer)
