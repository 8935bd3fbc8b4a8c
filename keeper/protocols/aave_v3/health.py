"""A market at a moment, and an account's standing in it."""

from collections.abc import Mapping, Sequence

from keeper.core.errors import StaleError
from keeper.core.fixed_point import HALF_RAY, ray_mul_half_up
from keeper.core.lending import Health, Leg, Legs
from keeper.core.units import RAY
from keeper.core.values import replace
from keeper.protocols.aave_v3 import rules
from keeper.protocols.aave_v3.revision import Rules
from keeper.protocols.aave_v3.state import (
    AaveMarket,
    AavePosition,
    Category,
    CategoryLines,
    Line,
    Lines,
    Reserve,
)

UNDEFINED = Category()


def view_at(market: AaveMarket, timestamp: int, prices: Mapping[str, int]) -> AaveMarket:
    """Return the market accrued to ``timestamp`` and priced, from its stored indices."""
    release = market.rules
    lines = tuple(
        None if reserve is None else _line(release, reserve, timestamp, prices)
        for reserve in market.reserves
    )
    return replace(
        market,
        timestamp=timestamp,
        prices=prices,
        lines=lines,
        category_lines=by_category(market, lines, prices),
    )


def by_category(market: AaveMarket, lines: Lines, prices: Mapping[str, int]) -> CategoryLines:
    """Return the lines of each of the market's categories."""
    # Not the market itself, which has lines of its own: each view would keep all before it.
    known, release, reserves = market.categories, market.rules, market.reserves

    def made(number: int) -> Lines:
        return category_lines(release, reserves, number, known[number], lines, prices)

    return CategoryLines(known, made)


def indices_at(release: Rules, reserve: Reserve, timestamp: int) -> tuple[int, int]:
    """Mirror ``ReserveLogic.getNormalizedIncome`` and ``getNormalizedDebt``; rays."""
    seconds = timestamp - reserve.updated
    if seconds == 0:
        return reserve.liquidity_index, reserve.variable_index
    linear = rules.linear_interest(reserve.liquidity_rate, seconds)
    compounded = release.compounded_interest(reserve.variable_rate, seconds)
    return (
        ray_mul_half_up(linear, reserve.liquidity_index),
        ray_mul_half_up(compounded, reserve.variable_index),
    )


def is_in_category(release: Rules, reserve: Reserve, number: int, category: Category) -> bool:
    """Return whether a reserve is collateral of an account's category (``EModeLogic``)."""
    if number == 0:
        return False
    if release.emode_bitmaps:
        return bool(category.collateral_bitmap >> reserve.id & 1)
    return reserve.emode_category == number


def lines_of(view: AaveMarket, emode: int) -> Lines:
    """Return the reserves as accounts of an efficiency mode see them."""
    if emode == 0:
        return view.lines
    known = view.category_lines.get(emode)
    if known is not None:
        return known
    return category_lines(view.rules, view.reserves, emode, UNDEFINED, view.lines, view.prices)


def assess(view: AaveMarket, position: AavePosition) -> Health:
    """Mirror ``GenericLogic.calculateUserAccountData``."""
    lines = lines_of(view, position.emode)
    if position.stable:
        totals = _totals_with_stable(view, lines, position)
    elif view.rules.directed:
        totals = _totals_directed(lines, position)
    else:
        totals = _totals_half_up(lines, position)
    collateral, weighted, debt = totals
    health_factor = view.rules.health_factor(collateral, weighted, debt)
    return Health(
        health_factor=health_factor,
        liquidatable=health_factor < rules.LIQUIDATION_THRESHOLD_HF,
        collateral_base=collateral,
        debt_base=debt,
    )


def collateral_amount(view: AaveMarket, line: Line, scaled: int) -> int:
    """Return an aToken balance, raw units."""
    return view.rules.collateral_balance(scaled, line.liquidity_index)


def debt_amounts(view: AaveMarket, position: AavePosition) -> dict[int, tuple[int, int]]:
    """Return variable and stable debt by reserve id, raw units."""
    amounts = {}
    for number, scaled in position.debt:
        line = view.lines[number]
        if line is not None:
            amounts[number] = (view.rules.debt_balance(scaled, line.variable_index), 0)
    for one in position.stable:
        if one.reserve in amounts:
            factor = rules.compounded_interest_binomial(one.rate, view.timestamp - one.updated)
            stable = ray_mul_half_up(one.principal, factor)
            amounts[one.reserve] = (amounts[one.reserve][0], stable)
    return amounts


def legs(view: AaveMarket, position: AavePosition) -> Legs:
    """Return what counts of an account: collateral of weight, and debts."""
    lines = lines_of(view, position.emode)
    collateral = []
    for number, scaled in position.collateral:
        line, reserve = lines[number], view.reserves[number]
        if line is None or reserve is None or not line.counts or scaled == 0:
            continue
        amount = collateral_amount(view, line, scaled)
        collateral.append(_leg(reserve, line, amount, line.threshold_bps))
    debt = []
    for number, (variable, stable) in debt_amounts(view, position).items():
        line, reserve = lines[number], view.reserves[number]
        if line is not None and reserve is not None and variable + stable:
            debt.append(_leg(reserve, line, variable + stable, 0))
    return Legs(collateral=tuple(collateral), debt=tuple(debt))


def known_price(line: Line, number: int) -> int:
    """Return a line's price; raise StaleError when it is not known."""
    if line.price is None:
        raise _unpriced(number)
    return line.price


_Totals = tuple[int, int, int]
"""Collateral, the same weighted by thresholds in bps, and debt: base units."""


def _totals_half_up(lines: Lines, position: AavePosition) -> _Totals:
    """Sum an account as 3.0 to 3.4 do. Hot: everything is inlined."""
    collateral = weighted = debt = 0
    for number, scaled in position.collateral:
        line = lines[number]
        if line is None:
            continue
        index, _, price, unit, threshold, counts = line
        if price is None:
            raise _unpriced(number)
        if counts:
            value = (scaled * index + HALF_RAY) // RAY * price // unit
            collateral += value
            weighted += value * threshold
    for number, scaled in position.debt:
        line = lines[number]
        if line is None:
            continue
        _, index, price, unit, _, _ = line
        if price is None:
            raise _unpriced(number)
        debt += (scaled * index + HALF_RAY) // RAY * price // unit
    return collateral, weighted, debt


def _totals_directed(lines: Lines, position: AavePosition) -> _Totals:
    """Sum an account as 3.5 and later do: debt rounds up. Hot: everything is inlined."""
    collateral = weighted = debt = 0
    for number, scaled in position.collateral:
        line = lines[number]
        if line is None:
            continue
        index, _, price, unit, threshold, counts = line
        if price is None:
            raise _unpriced(number)
        if counts:
            value = scaled * index // RAY * price // unit
            collateral += value
            weighted += value * threshold
    for number, scaled in position.debt:
        line = lines[number]
        if line is None:
            continue
        _, index, price, unit, _, _ = line
        if price is None:
            raise _unpriced(number)
        # Floored division by a negative is a ceiling: this adds ceil(ceil(balance) * price / unit).
        debt -= scaled * index // -RAY * price // unit
    return collateral, weighted, debt


def _totals_with_stable(view: AaveMarket, lines: Lines, position: AavePosition) -> _Totals:
    """Sum an account that owes at a stable rate too: both debts are one amount when valued."""
    without_debt = replace(position, debt=(), stable=())
    collateral, weighted, _ = _totals_half_up(lines, without_debt)
    debt = 0
    for number, amounts in debt_amounts(view, position).items():
        line = lines[number]
        if line is not None:
            debt += rules.value_floor(sum(amounts), known_price(line, number), line.unit)
    return collateral, weighted, debt


def _line(release: Rules, reserve: Reserve, timestamp: int, prices: Mapping[str, int]) -> Line:
    liquidity_index, variable_index = indices_at(release, reserve, timestamp)
    return Line(
        liquidity_index=liquidity_index,
        variable_index=variable_index,
        price=prices.get(reserve.asset),
        unit=reserve.unit,
        threshold_bps=reserve.threshold_bps,
        counts=release.zero_threshold_counts or reserve.threshold_bps != 0,
    )


def category_lines(
    release: Rules,
    reserves: Sequence[Reserve | None],
    number: int,
    category: Category,
    lines: Lines,
    prices: Mapping[str, int],
) -> Lines:
    """Return the lines with the category's threshold, and its price if it has one (to 3.1).

    A category price of zero means the reserve's own; one that is not known blocks the account.
    """
    own_price: int | None = 0
    if category.price_source is not None:
        own_price = prices.get(category.price_source)
        if own_price is None:
            return tuple(line and line._replace(price=None) for line in lines)
    changed = list(lines)
    for reserve in reserves:
        line = None if reserve is None else lines[reserve.id]
        if reserve is None or line is None:
            continue
        if is_in_category(release, reserve, number, category):
            changed[reserve.id] = line._replace(
                threshold_bps=category.threshold_bps, price=own_price or line.price
            )
    return tuple(changed)


def _leg(reserve: Reserve, line: Line, amount: int, threshold_bps: int) -> Leg:
    return Leg(
        asset=reserve.asset,
        symbol=reserve.symbol,
        amount=amount,
        price=known_price(line, reserve.id),
        threshold_bps=threshold_bps,
    )


def _unpriced(number: int) -> StaleError:
    return StaleError(f"price of reserve {number}: expected one, found none")
