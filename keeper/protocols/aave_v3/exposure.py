"""An Aave account as the float screen sees it, and as few bytes.

Why the sum is a lower bound (``Exposure``), in base units, for one account with exact factors:

- A collateral balance is at least ``scaled * index / RAY - 1`` raw units, whether rounded half up
  or down; its value at least that times ``price / unit``, less 1. As an index is at least one ray,
  one raw unit is worth at most one scaled unit: a weight of ``scaled - 1`` covers the balance.
- A debt balance is at most ``scaled * index / RAY + 1`` raw units, its value at most that times
  ``price / unit``, plus 1: likewise ``scaled + 1``.
- Up to 3.4 the average threshold is floored to whole basis points: the capacity is at least
  ``sum(value * (threshold - 1 bps)) - 1/2``. Since 3.5 it is ``sum(value * threshold)``.
- The health factor is at least one wad when capacity >= debt: its division rounds half up.

What is left is at most ``max(1, threshold)`` base units for each term and one half; a threshold has
16 bits of basis points, so that it is below 7.
"""

from collections.abc import Mapping
from math import nan
from typing import Final

from keeper.core.screening import Exposure, Factor
from keeper.core.units import BPS, RAY
from keeper.core.values import replace
from keeper.protocols.aave_v3.health import by_category, is_in_category, lines_of
from keeper.protocols.aave_v3.rules import health_factor_average
from keeper.protocols.aave_v3.state import (
    AaveMarket,
    AavePosition,
    Line,
    Lines,
    Reserve,
    StableDebt,
)

_SLACK_OF_TERM: Final = 8.0
_RESERVE_BITS: Final = 16
_SIDE_BITS: Final = 1


def exposure(position: AavePosition) -> Exposure | None:
    """Return an account's weights; None with stable debt, which compounds by itself."""
    if position.stable:
        return None
    base = position.emode << _RESERVE_BITS + _SIDE_BITS
    terms = [
        (base | number << _SIDE_BITS, float(scaled - 1 if scaled else 0))
        for number, scaled in position.collateral
    ]
    terms += [
        (base | number << _SIDE_BITS | 1, float(scaled + 1)) for number, scaled in position.debt
    ]
    return Exposure(terms=tuple(terms), slack=_SLACK_OF_TERM * len(terms) + 1.0)


def factor(view: AaveMarket, key: int) -> Factor:
    """Return what a scaled unit of a reserve counts for in an efficiency mode, as one side."""
    emode = key >> _RESERVE_BITS + _SIDE_BITS
    number = key >> _SIDE_BITS & (1 << _RESERVE_BITS) - 1
    reserve, line = view.reserves[number], lines_of(view, emode)[number]
    if reserve is None or line is None:
        return Factor(None, 0.0)
    feed = _feed(view, emode, reserve)
    if feed is None:
        return Factor(None, nan)
    rate = -_debt_rate(line) if key & 1 else _collateral_rate(view, line)
    return Factor(feed, rate)


def _debt_rate(line: Line) -> float:
    if line.variable_index < RAY:
        return nan
    return line.variable_index / (RAY * line.unit)


def _collateral_rate(view: AaveMarket, line: Line) -> float:
    """Return a scaled unit's weight in the capacity; not a number where the bound does not hold."""
    if not line.counts:
        return 0.0
    floored = 1 if view.rules.health_factor is health_factor_average else 0
    threshold = line.threshold_bps - floored
    if line.liquidity_index < RAY or threshold < 0:
        return nan
    return line.liquidity_index * threshold / (RAY * line.unit * BPS)


def _feed(view: AaveMarket, emode: int, reserve: Reserve) -> str | None:
    """Return the feed behind a reserve's price as accounts of an efficiency mode see it.

    None where the mode's own price is not known: nothing of these accounts can be judged, and what
    they are worth once it is told is for the exact rules.
    """
    category = view.categories.get(emode)
    if emode == 0 or category is None or category.price_source is None:
        return reserve.asset
    source = category.price_source
    if source not in view.prices:
        return None
    covers = is_in_category(view.rules, reserve, emode, category)
    return source if covers and view.prices[source] else reserve.asset


def repriced(view: AaveMarket, prices: Mapping[str, int]) -> AaveMarket:
    """Return the view with some prices replaced: indices stay."""
    merged = {**view.prices, **prices}
    moved = {
        number: price
        for feed, price in prices.items()
        if (number := view.ids.get(feed)) is not None  # type: ignore[call-overload] # str is looked up among addresses
    }
    lines = _with_prices(view.lines, moved)
    return replace(
        view,
        prices=merged,
        lines=lines,
        category_lines=by_category(view, lines, merged),
    )


def _with_prices(lines: Lines, moved: Mapping[int, int]) -> Lines:
    changed = list(lines)
    for number, price in moved.items():
        line = changed[number]
        if line is not None:
            changed[number] = line._replace(price=price)
    return tuple(changed)


def pack(position: AavePosition) -> bytes:
    """Return the position as few bytes: counts, then each number with its own length."""
    counts = (position.emode, len(position.collateral), len(position.debt), len(position.stable))
    parts = [bytes(counts)]
    for number, scaled in (*position.collateral, *position.debt):
        parts += (bytes((number,)), _packed(scaled))
    for one in position.stable:
        parts += (bytes((one.reserve,)), *map(_packed, (one.principal, one.rate, one.updated)))
    return b"".join(parts)


def unpack(packed: bytes) -> AavePosition:
    """Return the position that was packed."""
    emode, held, owed, stable = packed[:_COUNTS]
    at = _COUNTS
    pairs = []
    for _ in range(held + owed):
        end = at + 2 + packed[at + 1]
        pairs.append((packed[at], int.from_bytes(packed[at + 2 : end], "little")))
        at = end
    return AavePosition(
        collateral=tuple(pairs[:held]),
        debt=tuple(pairs[held:]),
        stable=_unpack_stable(packed, at, stable) if stable else (),
        emode=emode,
    )


_COUNTS: Final = 4


def _packed(value: int) -> bytes:
    """Return the length of a number in bytes, then the number."""
    length = (value.bit_length() + 7) // 8
    return bytes((length,)) + value.to_bytes(length, "little")


def _unpack_stable(packed: bytes, at: int, many: int) -> tuple[StableDebt, ...]:
    found = []
    for _ in range(many):
        reserve, at, values = packed[at], at + 1, []
        for _ in range(3):
            end = at + 1 + packed[at]
            values.append(int.from_bytes(packed[at + 1 : end], "little"))
            at = end
        principal, rate, updated = values
        found.append(StableDebt(reserve=reserve, principal=principal, rate=rate, updated=updated))
    return tuple(found)
