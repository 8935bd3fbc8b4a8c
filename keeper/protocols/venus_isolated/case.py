"""An account with one collateral, one debt and one of the three calls chosen."""

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from keeper.core.lending import Option
from keeper.core.units import Address
from keeper.protocols.compound_v2 import rules as family
from keeper.protocols.venus_isolated import rules
from keeper.protocols.venus_isolated.health import (
    Sums,
    Term,
    arrangements,
    debt_of,
    entered,
    is_worthless,
    known_price,
    snapshot,
    terms_of,
)
from keeper.protocols.venus_isolated.refusals import PoolRefusedError, Refusal
from keeper.protocols.venus_isolated.state import Deployment, Market, Pool, Position

KEY_SEPARATOR = ":"


class Way(StrEnum):
    """The call that liquidates."""

    BORROW = "borrow"
    """``liquidateBorrow``: a part of a debt."""
    ACCOUNT = "account"
    """``liquidateAccount``: the whole debt of an account with little collateral that covers it."""
    HEAL = "heal"
    """``healAccount``: all of too little collateral, for the share of the debt that it is worth."""


class Case(Struct, frozen=True, kw_only=True):
    """An account with a collateral, a debt and a way chosen."""

    way: Way
    pool: Pool
    collateral: Market
    debt: Market
    tokens: int
    """cTokens that the account has of the collateral."""
    owed: int
    ratio: int
    """cTokens for one raw unit repaid, wad."""
    forced: bool
    found: Sums
    """What the call finds."""
    accrue: tuple[int, ...] = ()
    """Markets to accrue first, without which it would find too little."""
    healed: int = 0
    """What healing repays, raw units of the debt."""

    @property
    def key(self) -> str:
        """Return the option's key."""
        return KEY_SEPARATOR.join((self.way, self.collateral.token, self.debt.token))

    def seized(self, repay: int) -> int:
        """Return the cTokens that a repayment takes."""
        return self.tokens if self.way is Way.HEAL else family.seized_tokens(self.ratio, repay)


def cases_of(view: Deployment, position: Position) -> Iterator[Case]:
    """Yield every collateral with every debt, then the account as a whole where it is one pair."""
    entries = entered(view, position)
    every = [one.market for one in entries if one.tokens]
    held = [one for one in every if not is_worthless(view, one)]
    owed = [one.market for one in entries if one.principal]
    for debt in owed:
        for collateral in held:
            yield case_of(view, position, Way.BORROW, collateral, debt)
    if len(owed) == 1:
        for collateral in held:
            yield case_of(view, position, Way.ACCOUNT, collateral, owed[0])
        if held and len(every) == 1:
            yield case_of(view, position, Way.HEAL, held[0], owed[0])


def case_of(view: Deployment, position: Position, way: Way, collateral: int, debt: int) -> Case:
    """Return one case. Raises StaleError when a price is not known.

    Raises RefusedError where the collateral is worth nothing.
    """
    if is_worthless(view, collateral):
        raise PoolRefusedError(Refusal.WORTHLESS, view.markets[collateral].symbol)
    entries = {one.market: one for one in position.entries}
    owing, held, pool = entries[debt], entries[collateral], view.pool_of(debt)
    found, accrue = _found(pool, terms_of(view, position), way, (collateral, debt))
    owed = debt_of(view, owing) if owing.principal else 0
    return Case(
        way=way,
        pool=pool,
        collateral=view.markets[collateral],
        debt=view.markets[debt],
        tokens=held.tokens,
        owed=owed,
        ratio=family.seize_ratio(
            incentive=pool.incentive,
            debt_price=known_price(view, debt),
            collateral_price=known_price(view, collateral),
            rate=view.lines[collateral].rate,
        ),
        forced=owing.principal > 0 and view.markets[debt].forced,
        found=found,
        accrue=accrue,
        healed=rules.healed_part(share_of(pool, found), owed) if way is Way.HEAL else 0,
    )


def chosen(view: Deployment, position: Position, option: Option) -> Case:
    """Return an option's case: that of its key, else its assets' by ``liquidateBorrow``."""
    if option.key:
        way, *places = option.key.split(KEY_SEPARATOR)
        collateral, debt = (view.numbers[Address(one)] for one in places)
    else:
        way = Way.BORROW
        collateral, debt = _of_assets(view, position, option)
    if not {collateral, debt} <= {one.market for one in entered(view, position)}:
        raise PoolRefusedError(Refusal.NOT_COLLATERAL, option.key)
    return case_of(view, position, Way(way), collateral, debt)


def share_of(pool: Pool, found: Sums) -> int:
    """Return the share of debts that healing repays; zero without debts worth anything."""
    if found.borrows * pool.incentive < 10**18:
        return 0
    return rules.healed_share(found.total, found.borrows, pool.incentive)


def _of_assets(view: Deployment, position: Position, option: Option) -> tuple[int, int]:
    entries = [(view.markets[one.market], one) for one in entered(view, position)]
    held = [m.number for m, one in entries if one.tokens and m.asset == option.collateral]
    owed = [m.number for m, one in entries if one.principal and m.asset == option.debt]
    if not held:
        raise PoolRefusedError(Refusal.NOT_COLLATERAL, option.collateral)
    if not owed:
        raise PoolRefusedError(Refusal.NOT_BORROWED, option.debt)
    return held[0], owed[0]


def _found(
    pool: Pool, terms: tuple[Term, ...], way: Way, pair: tuple[int, int]
) -> tuple[Sums, tuple[int, ...]]:
    """Return what the call finds, with the accruals that make it enough if any do."""
    if way is Way.HEAL:
        return snapshot(terms, [one.market for one in terms]), ()
    fresh = pair if way is Way.BORROW else ()
    for first in arrangements(terms, fresh):
        found = snapshot(terms, {*fresh, *first})
        if _serves(pool, way, found):
            return found, first
    return snapshot(terms, fresh), ()


def _serves(pool: Pool, way: Way, found: Sums) -> bool:
    if found.shortfall <= 0:
        return False
    if way is Way.BORROW:
        return found.total > pool.least_collateral
    covered = rules.collateral_for(found.borrows, pool.incentive) < found.total
    return covered and found.total <= pool.least_collateral
