"""A deployment at a moment, and an account's standing in it.

``liquidateBorrow`` accrues the repaid and the seized market and judges every other by what is
stored. Anybody may accrue a market, so what counts is the best that the liquidator can arrange.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from keeper.core.errors import StaleError
from keeper.core.lending import Health
from keeper.core.units import MAX_UINT256, WAD
from keeper.core.values import replace
from keeper.protocols.compound_v2 import rules
from keeper.protocols.compound_v2.membership import entered, risk_of, unentered
from keeper.protocols.compound_v2.rules import Stored
from keeper.protocols.compound_v2.state import (
    Deployment,
    Entry,
    Line,
    Market,
    Position,
    Weights,
)

_NONE = -1
"""No market's number."""


def view_at(
    deployment: Deployment, block: int, timestamp: int, prices: Mapping[str, int]
) -> Deployment:
    """Return the deployment as an accrual at that block or second would leave it, priced."""
    vai = deployment.vai
    moment = replace(deployment, block=block, timestamp=timestamp, prices=prices)
    return replace(
        moment,
        lines=tuple(line_at(moment, one) for one in deployment.markets),
        vai_index=0 if vai is None else vai.index + vai.rate * max(block - vai.accrued_at, 0),
    )


def accrued_at(view: Deployment, market: Market) -> Stored:
    """Return a market's storage after an accrual at the view's moment.

    Where reserves are due for payment the accrual pays them, as far as there is cash. The second
    accrual of a moment does nothing.
    """
    now = view.timestamp if view.by_second else view.block
    if now <= market.accrued_at:
        return market.stored
    after = rules.accrued(
        market.stored,
        rate=market.rate,
        periods=now - market.accrued_at,
        reserve_factor=market.reserve_factor,
    )
    if market.sheds_at is None or view.block < market.sheds_at:
        return after
    paid = min(after.cash, after.reserves)
    return replace(after, cash=after.cash - paid, reserves=after.reserves - paid)


class Term(NamedTuple):
    """One market's part in an account's shortfall: debt less weighted collateral, 1e18 dollars."""

    market: int
    stored: int
    accrued: int


def terms_of(view: Deployment, position: Position) -> tuple[Term, ...]:
    """Return an account's terms. Raises StaleError when a price is not known."""
    return tuple([_term(view, entry, position.pool) for entry in entered(view, position)])


class Shortfall(NamedTuple):
    """What a liquidator can make of an account."""

    value: int
    """1e18 dollars; not positive for a healthy account."""
    accrue: tuple[int, ...]
    """Markets to accrue first, without which there is none."""


def shortfall(view: Deployment, position: Position, pair: Iterable[int]) -> Shortfall:
    """Return the shortfall that liquidating a pair of markets finds, accruals put first if needed.

    Mirrors ``getHypotheticalAccountLiquidityInternal`` as ``liquidateBorrowAllowed`` asks it.
    """
    return _best(terms_of(view, position), vai_debt(view, position), frozenset(pair))


def vai_shortfall(view: Deployment, position: Position, collateral: int) -> Shortfall:
    """Return the shortfall that liquidating VAI for a market's collateral finds."""
    owed = accrued_vai_debt(view, position)
    return _best(terms_of(view, position), owed, frozenset((collateral,)))


def stored_shortfall(view: Deployment, position: Position) -> int:
    """Return what the account is short of with nothing accrued; negative is what it has to spare.

    Mirrors ``getAccountLiquidity``.
    """
    index = 0 if view.vai is None else view.vai.index
    return sum(one.stored for one in terms_of(view, position)) + _minted(position, index)


def vai_debt(view: Deployment, position: Position) -> int:
    """Return what the account owes in VAI, which counts as a dollar.

    Venus's Liquidator accrues VAI before it does anything else; markets do not.
    """
    if view.vai is None or position.vai_minted == 0:
        return 0
    index = view.vai.index if view.liquidator is None else view.vai_index
    return _minted(position, index)


def accrued_vai_debt(view: Deployment, position: Position) -> int:
    """Return the debt in VAI with interest to the view's block: what repaying it finds."""
    if view.vai is None or position.vai_minted == 0:
        return 0
    return _minted(position, view.vai_index)


def assess(view: Deployment, position: Position) -> Health:
    """Return the standing with everything accrued, and whether anybody may liquidate it."""
    counted, pool = entered(view, position), position.pool
    collateral = weighted = owed = 0
    for entry in counted:
        held, counts_for, due = _worth(view, entry, pool)
        collateral += held
        weighted += counts_for
        owed += due
    debt = owed + accrued_vai_debt(view, position)
    # Short with every market accrued is short whatever the pair: the others can be accrued first.
    is_short = owed + vai_debt(view, position) > weighted
    return Health(
        health_factor=weighted * WAD // debt if debt else MAX_UINT256,
        liquidatable=debt > 0 and (is_short or is_liquidatable(view, position, counted)),
        collateral_base=collateral,
        debt_base=debt,
    )


def is_liquidatable(view: Deployment, position: Position, counted: Sequence[Entry]) -> bool:
    """Return whether there is a pair of markets that the contracts let somebody liquidate.

    A pair is accrued; of every other market the liquidator takes what is worse for the account. So
    what there is to find of a pair is the worst of all less what accruing the pair takes from it.
    """
    for entry in counted:
        if is_forced(view, position, entry):
            return True
    if vai_is_forced(view, position):
        return True
    worst, lost = 0, dict[int, int]()
    for one in [_term(view, entry, position.pool) for entry in counted]:
        worst += max(one.stored, one.accrued)
        if one.stored > one.accrued:
            lost[one.market] = one.stored - one.accrued
    vai = vai_debt(view, position)
    held = [one.market for one in counted if one.tokens]
    if unentered(view, position):
        held.append(_NONE)  # whose accrual takes nothing from a shortfall
    owed = [one.market for one in counted if one.principal]
    if worst + vai > _least_lost(lost, held, owed):
        return True
    minted = accrued_vai_debt(view, position)
    return minted > 0 < len(held) and worst + minted > _least_lost(lost, held, [])


def _least_lost(lost: Mapping[int, int], held: Sequence[int], owed: Sequence[int]) -> int:
    """Return the least that accruing one collateral and one debt takes from a shortfall."""
    return min(
        lost.get(debt, 0) + (lost.get(collateral, 0) if collateral != debt else 0)
        for debt in owed or (_NONE,)
        for collateral in held or (_NONE,)
    )


def vai_is_forced(view: Deployment, position: Position) -> bool:
    """Return whether an account's VAI may be liquidated whatever its health."""
    if view.vai is None or position.vai_minted == 0:
        return False
    return position.vai_forced or view.vai.forced


def is_forced(view: Deployment, position: Position, entry: Entry) -> bool:
    """Return whether a debt may be liquidated whatever the account's health."""
    if entry.principal == 0:
        return False
    return view.markets[entry.market].forced or entry.market in position.forced


def debt_of(view: Deployment, entry: Entry) -> int:
    """Return a debt with interest to the view's moment, raw units."""
    index = view.lines[entry.market].borrow_index
    return rules.borrow_balance(entry.principal, entry.principal_index, index)


def known_price(view: Deployment, number: int) -> int:
    """Return a market's price; raise StaleError when there is none, as the Comptroller would."""
    price = view.lines[number].price
    if not price:
        raise StaleError(f"price of {view.markets[number].symbol}: expected one, found {price}")
    return price


def line_at(moment: Deployment, market: Market) -> Line:
    """Return a market as it is at a moment."""
    after = accrued_at(moment, market)
    return Line(
        stored_rate=rules.exchange_rate(market.stored, market.initial_rate),
        rate=rules.exchange_rate(after, market.initial_rate),
        stored_borrow_index=market.stored.index,
        borrow_index=after.index,
        cash=after.cash,
        price=moment.prices.get(market.token),
    )


def _worth(view: Deployment, entry: Entry, pool: int) -> tuple[int, int, int]:
    """Return an entry's collateral, that weighted, and its debt, accrued, 1e18 dollars."""
    number, tokens, principal, since = entry
    price, weight, _, line, _ = view.weights.get((number, pool)) or _weights(view, number, pool)
    return (
        rules.redeemed(tokens, line.rate) * price // WAD if tokens else 0,
        weight * tokens // WAD,
        price * (principal * line.borrow_index // since) // WAD if principal else 0,
    )


def _term(view: Deployment, entry: Entry, pool: int) -> Term:
    _, weighted, debt = _worth(view, entry, pool)
    number, tokens, principal, since = entry
    price, _, before, line, is_stored = view.weights[number, pool]
    stored = debt - weighted
    if not is_stored:
        owed = principal * line.stored_borrow_index // since if principal else 0
        stored = price * owed // WAD - before * tokens // WAD
    return Term(number, stored, debt - weighted)


def _weights(view: Deployment, number: int, pool: int) -> Weights:
    """Reckon what a market's cTokens count for, once for a view."""
    line, price = view.lines[number], known_price(view, number)
    factor = risk_of(view, view.markets[number], pool).threshold
    found = Weights(
        price=price,
        accrued=rules.token_weight(factor, line.rate, price, view.mul),
        stored=rules.token_weight(factor, line.stored_rate, price, view.mul),
        line=line,
        is_stored=line.is_stored,
    )
    view.weights[number, pool] = found
    return found


def _best(terms: Iterable[Term], vai: int, pair: frozenset[int]) -> Shortfall:
    value, extra, helpful = vai, 0, []
    for one in terms:
        if one.market in pair:
            value += one.accrued
            continue
        value += one.stored
        if one.accrued > one.stored:
            extra += one.accrued - one.stored
            helpful.append(one.market)
    if value > 0 or value + extra <= 0:
        return Shortfall(value=value, accrue=())
    return Shortfall(value=value + extra, accrue=tuple(helpful))


def _minted(position: Position, index: int) -> int:
    return rules.minted_debt(
        position.vai_minted,
        position.vai_past_interest,
        index=index,
        own_index=position.vai_index,
    )
