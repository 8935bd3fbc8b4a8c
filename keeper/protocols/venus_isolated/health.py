"""A deployment at a moment, and an account's standing in its pool.

``liquidateBorrow`` accrues the repaid and the seized market and judges every other by what is
stored, ``liquidateAccount`` judges by what is stored alone, and ``healAccount`` accrues all.
Anybody may accrue a market first, so that what counts is the best that a liquidator can arrange.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from keeper.core.errors import StaleError
from keeper.core.lending import Health
from keeper.core.units import MAX_UINT256, WAD
from keeper.core.values import replace
from keeper.protocols.compound_v2 import rules as family
from keeper.protocols.venus_isolated import rules
from keeper.protocols.venus_isolated.state import Deployment, Entry, Line, Market, Position


def view_at(
    deployment: Deployment, block: int, timestamp: int, prices: Mapping[str, int]
) -> Deployment:
    """Return the deployment as an accrual at that block or second would leave it, priced."""
    moment = replace(deployment, block=block, timestamp=timestamp, prices=prices)
    lines = {number: line_at(moment, one) for number, one in deployment.markets.items()}
    return replace(moment, lines=lines)


def accrued_at(view: Deployment, market: Market) -> family.Stored:
    """Return a market's storage after an accrual at the view's moment."""
    now = view.timestamp if view.by_second else view.block
    return family.accrued(
        market.stored,
        rate=market.rate,
        periods=max(now - market.accrued_at, 0),
        reserve_factor=market.reserve_factor,
    )


class Sums(NamedTuple):
    """An account's, or one market's part of an ``AccountLiquiditySnapshot``, 1e18 dollars."""

    total: int
    """Of the collateral."""
    weighted: int
    borrows: int

    @property
    def shortfall(self) -> int:
        """Debt less weighted collateral; not positive for a healthy account."""
        return self.borrows - self.weighted


class Term(NamedTuple):
    """A market in an account's sums: as stored, and as accrued."""

    market: int
    stored: Sums
    accrued: Sums

    @property
    def helps(self) -> bool:
        """Whether an accrual makes the account shorter."""
        return self.accrued.shortfall > self.stored.shortfall


def entered(view: Deployment, position: Position) -> tuple[Entry, ...]:
    """Mirror ``getAssetsIn``: the entered markets that are still listed."""
    return tuple(one for one in position.entries if view.markets[one.market].listed)


def terms_of(view: Deployment, position: Position) -> tuple[Term, ...]:
    """Return an account's terms. Raises StaleError when a price is not known."""
    return tuple(_term(view, entry) for entry in entered(view, position))


def snapshot(terms: Iterable[Term], accrued: Collection[int]) -> Sums:
    """Mirror ``_getCurrentLiquiditySnapshot`` with these markets accrued and the others not."""
    chosen = [one.accrued if one.market in accrued else one.stored for one in terms]
    return Sums(
        total=sum(one.total for one in chosen),
        weighted=sum(one.weighted for one in chosen),
        borrows=sum(one.borrows for one in chosen),
    )


def arrangements(terms: Iterable[Term], fresh: Collection[int]) -> Iterator[tuple[int, ...]]:
    """Yield what may be accrued first beside what the call accrues: nothing, what helps, all."""
    others = [one for one in terms if one.market not in fresh]
    yield ()
    helpful = tuple(one.market for one in others if one.helps)
    if helpful:
        yield helpful
    if len(others) > len(helpful):
        yield tuple(one.market for one in others)


def assess(view: Deployment, position: Position) -> Health:
    """Return the standing with everything accrued, and whether anybody may liquidate it."""
    terms = terms_of(view, position)
    everything = snapshot(terms, [one.market for one in terms])
    debt = everything.borrows
    return Health(
        health_factor=everything.weighted * WAD // debt if debt else MAX_UINT256,
        liquidatable=debt > 0 and is_liquidatable(view, position, terms),
        collateral_base=everything.total,
        debt_base=debt,
    )


def is_liquidatable(view: Deployment, position: Position, terms: tuple[Term, ...]) -> bool:
    """Return whether there is a call by which somebody may liquidate or heal the account."""
    counted = entered(view, position)
    if any(one.principal and view.markets[one.market].forced for one in counted):
        return True
    if sum(max(one.stored.shortfall, one.accrued.shortfall) for one in terms) <= 0:
        return False
    least = view.pool_of(counted[0].market).least_collateral
    for pair in _pairs(counted):
        for first in arrangements(terms, pair):
            found = snapshot(terms, {*pair, *first})
            if found.shortfall > 0 and found.total > least:
                return True
    for first in arrangements(terms, ()):
        found = snapshot(terms, first)
        if found.shortfall > 0 and found.total <= least:
            return True
    return False


def debt_of(view: Deployment, entry: Entry) -> int:
    """Return a debt with interest to the view's moment, raw units."""
    index = view.lines[entry.market].borrow_index
    return family.borrow_balance(entry.principal, entry.principal_index, index)


def whole_price(market: Market, price: int) -> int:
    """Return the price of a whole underlying, 1e18 dollars."""
    return price * market.unit // WAD


def known_price(view: Deployment, number: int) -> int:
    """Return a market's price; raise StaleError when there is none, as the Comptroller would."""
    price = view.lines[number].price
    if not price:
        raise StaleError(f"price of {view.markets[number].symbol}: expected one, found {price}")
    return price


def is_worthless(view: Deployment, number: int) -> bool:
    """Return whether a market's cTokens come to nothing: what they are seized by divides by that.

    So they do where the underlying is gone.
    """
    return family.mul_exp_truncated(known_price(view, number), view.lines[number].rate) == 0


def line_at(moment: Deployment, market: Market) -> Line:
    """Return a market as it is at a moment."""
    after = accrued_at(moment, market)
    return Line(
        stored_rate=rules.exchange_rate(market.stored, market.bad_debt, market.initial_rate),
        rate=rules.exchange_rate(after, market.bad_debt, market.initial_rate),
        stored_borrow_index=market.stored.index,
        borrow_index=after.index,
        free=after.cash - after.reserves,
        price=moment.prices.get(market.token),
    )


def _term(view: Deployment, entry: Entry) -> Term:
    line, price = view.lines[entry.market], known_price(view, entry.market)
    threshold = view.markets[entry.market].threshold

    def sums(rate: int, index: int) -> Sums:
        owed = family.borrow_balance(entry.principal, entry.principal_index, index)
        return Sums(
            total=rules.collateral_value(entry.tokens, rate=rate, price=price),
            weighted=rules.weighted_value(
                entry.tokens, threshold=threshold, rate=rate, price=price
            ),
            borrows=family.debt_value(owed, price),
        )

    stored = sums(line.stored_rate, line.stored_borrow_index)
    return Term(market=entry.market, stored=stored, accrued=sums(line.rate, line.borrow_index))


def _pairs(entries: tuple[Entry, ...]) -> Iterator[frozenset[int]]:
    """Return every collateral with every debt: what ``liquidateBorrow`` accrues."""
    for owed in entries:
        for held in entries:
            if owed.principal and held.tokens:
                yield frozenset((owed.market, held.market))
