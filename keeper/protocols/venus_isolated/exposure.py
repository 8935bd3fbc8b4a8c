"""An account of an isolated pool as the float screen sees it, and as few bytes.

Why the sum is a lower bound (``Exposure``), in 1e18 dollars, for one account with exact factors:

- A market counts as stored or as accrued, whichever the liquidator arranges. Its collateral is
  taken at the lower of both exchange rates and its debt at the higher of both indices.
- Collateral is ``floor(floor(t * floor(rate * price / 1e18) / 1e18) * tokens / 1e18)``: each of the
  two inner floors costs less than one, as thresholds are at most one, so that it is at least
  ``t * rate * price * tokens / 1e54`` less ``2 * tokens / 1e18`` and 1.
- Debts are floored, so that the terms are never below them.

An account whose terms sum to the slack or more has no shortfall in any arrangement, and neither
call is open to it. One whose debt may be liquidated in health has a factor that is not a number.
"""

from collections.abc import Mapping
from math import nan
from typing import Final

from keeper.core.screening import Exposure, Factor
from keeper.core.units import WAD, Address
from keeper.core.values import replace
from keeper.protocols.compound_v2.packing import packed, unpacked
from keeper.protocols.venus_isolated.state import Deployment, Entry, Position

_COLLATERAL: Final = 0
_DEBT: Final = 1
_ENTRY: Final = 4


def exposure(position: Position) -> Exposure:
    """Return an account's weights."""
    terms: list[tuple[int, float]] = []
    slack = 1.0
    for entry in position.entries:
        if entry.tokens:
            terms.append((entry.market << 1 | _COLLATERAL, float(entry.tokens)))
            slack += 2 * entry.tokens / WAD + 1
        if entry.principal:
            terms.append((entry.market << 1 | _DEBT, entry.principal / entry.principal_index))
    return Exposure(terms=tuple(terms), slack=slack)


def factor(view: Deployment, key: int) -> Factor:
    """Return what a unit of cTokens or of debt counts for at the view's moment."""
    number = key >> 1
    if number not in view.markets:
        return Factor(None, nan)
    market, line = view.markets[number], view.lines[number]
    if not market.listed:
        return Factor(None, 0.0)
    if line.price == 0:
        return Factor(market.token, nan)
    if key & 1 == _DEBT:
        index = max(line.stored_borrow_index, line.borrow_index)
        return Factor(market.token, nan if market.forced else -(index / WAD))
    weighted = market.threshold * min(line.stored_rate, line.rate)
    return Factor(market.token, weighted / WAD**3)


def repriced(view: Deployment, prices: Mapping[str, int]) -> Deployment:
    """Return the view with some prices replaced: interest stays."""
    lines = dict(view.lines)
    for token, price in prices.items():
        number = view.numbers.get(Address(token))
        if number is not None:
            lines[number] = lines[number]._replace(price=price)
    return replace(view, prices={**view.prices, **prices}, lines=lines)


def pack(position: Position) -> bytes:
    """Return the position as few bytes."""
    entries = (number for entry in position.entries for number in entry)
    return packed((position.idle, *entries))


def unpack(data: bytes) -> Position:
    """Return the position that was packed."""
    idle, *numbers = unpacked(data)
    return Position(
        entries=tuple(Entry(*numbers[at : at + _ENTRY]) for at in range(0, len(numbers), _ENTRY)),
        idle=idle,
    )
