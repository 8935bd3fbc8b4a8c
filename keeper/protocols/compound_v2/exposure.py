"""An account of the Compound family as the float screen sees it, and as few bytes.

Why the sum is a lower bound (``Exposure``), in 1e18 dollars, for one account with exact factors:

- A market counts as stored or as accrued, whichever the liquidator arranges. Its collateral is
  taken at the lower of both exchange rates and its debt at the higher of both indices.
- Collateral is ``floor(floor(m * price / 1e18) * tokens / 1e18)``, where ``m`` is its factor times
  the rate: at least ``m * price * tokens / 1e36`` less ``tokens / 1e18`` and 1.
- Debts are floored, so that the terms are never below them. So is VAI's interest.

An account whose terms sum to the slack or more has no shortfall in any pair of its markets. One
whose debt may be liquidated in health has a factor that is not a number.
"""

from collections.abc import Mapping
from math import nan
from typing import Final

from keeper.core.screening import Exposure, Factor
from keeper.core.units import WAD, Address
from keeper.core.values import replace
from keeper.protocols.compound_v2.membership import risk_of
from keeper.protocols.compound_v2.packing import packed, unpacked
from keeper.protocols.compound_v2.state import CORE_POOL, Deployment, Entry, Position

_COLLATERAL: Final = 0
_DEBT: Final = 1
_VAI: Final = 2
_VAI_OWN: Final = 3
_KIND_BITS: Final = 2
_MARKET_BITS: Final = 16
_MINTED: Final = 1
"""Of kind ``_VAI`` in place of a market: what was minted; 0 is what interest runs on."""

_FACE: Final = 8
_ENTRY: Final = 4
_ASIDE: Final = 2


def exposure(position: Position) -> Exposure | None:
    """Return an account's weights; None when one of its debts is forced."""
    if position.forced or position.vai_forced:
        return None
    terms: list[tuple[int, float]] = []
    slack = 1.0
    for entry in position.entries:
        if entry.tokens:
            terms.append((_key(_COLLATERAL, entry.market, position.pool), float(entry.tokens)))
            slack += entry.tokens / WAD + 1
        if entry.principal:
            weight = entry.principal / entry.principal_index
            terms.append((_key(_DEBT, entry.market, 0), weight))
    if position.vai_minted:
        part = position.vai_minted - position.vai_past_interest
        terms.append((_key(_VAI, _MINTED, 0), float(position.vai_minted)))
        terms.append((_key(_VAI, 0, 0), float(part)))
        terms.append((_key(_VAI_OWN, 0, 0), part * position.vai_index / WAD))
    return Exposure(terms=tuple(terms), slack=slack)


def factor(view: Deployment, key: int) -> Factor:
    """Return what a unit of cTokens, of debt or of VAI counts for at the view's moment."""
    kind, number = key & (1 << _KIND_BITS) - 1, key >> _KIND_BITS & (1 << _MARKET_BITS) - 1
    if kind in (_VAI, _VAI_OWN):
        return Factor(None, _vai_rate(view, kind, number))
    if number >= len(view.markets):
        return Factor(None, nan)
    market, line = view.markets[number], view.lines[number]
    if not market.risks[CORE_POOL].listed:
        return Factor(None, 0.0)
    if line.price == 0:
        return Factor(market.token, nan)
    if kind == _DEBT:
        index = max(line.stored_borrow_index, line.borrow_index)
        return Factor(market.token, nan if market.forced else -(index / WAD))
    risk = risk_of(view, market, key >> _KIND_BITS + _MARKET_BITS)
    weighted = view.mul(risk.threshold, min(line.stored_rate, line.rate))
    return Factor(market.token, weighted / WAD**2)


def repriced(view: Deployment, prices: Mapping[str, int]) -> Deployment:
    """Return the view with some prices replaced: interest stays."""
    numbers = view.numbers
    moved = {
        numbers[key]: price for one, price in prices.items() if (key := Address(one)) in numbers
    }
    lines = list(view.lines)
    for number, price in moved.items():
        lines[number] = lines[number]._replace(price=price)
    after = replace(view, prices={**view.prices, **prices}, lines=tuple(lines))
    after.weights.update({key: one for key, one in view.weights.items() if key[0] not in moved})
    return after


def pack(position: Position) -> bytes:
    """Return the position as few bytes: each number with its own length."""
    face = (
        position.pool,
        int(position.restricted) | int(position.vai_forced) << 1,
        position.vai_minted,
        position.vai_past_interest,
        position.vai_index,
        position.idle,
        len(position.forced),
        len(position.unentered),
    )
    entries = (number for entry in (*position.unentered, *position.entries) for number in entry)
    numbers = (*face, *sorted(position.forced), *entries)
    return packed(numbers)


def unpack(data: bytes) -> Position:
    """Return the position that was packed."""
    numbers = list(unpacked(data))
    pool, marks, minted, past_interest, index, idle, forced, aside = numbers[:_FACE]
    middle = _FACE + forced
    first = middle + _ASIDE * aside
    return Position(
        entries=tuple(
            Entry(*numbers[at : at + _ENTRY]) for at in range(first, len(numbers), _ENTRY)
        ),
        unentered=tuple((numbers[at], numbers[at + 1]) for at in range(middle, first, _ASIDE)),
        idle=idle,
        pool=pool,
        forced=frozenset(numbers[_FACE:middle]),
        vai_forced=bool(marks & 2),
        restricted=bool(marks & 1),
        vai_minted=minted,
        vai_past_interest=past_interest,
        vai_index=index,
    )


def _key(kind: int, market: int, pool: int) -> int:
    return (pool << _MARKET_BITS | market) << _KIND_BITS | kind


def _vai_rate(view: Deployment, kind: int, number: int) -> float:
    """Return what VAI counts for: minted and interest since forever owed, up to its start not."""
    if view.vai is None or view.vai.forced:
        return nan
    if kind == _VAI_OWN:
        return 1.0
    return -1.0 if number == _MINTED else -(max(view.vai.index, view.vai_index) / WAD)
