"""What is known of a deployment and of an account in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct

from keeper.core.units import Address
from keeper.protocols.compound_v2.rules import MulExp, Stored

CORE_POOL = 0


class Action(IntEnum):
    """What can be paused of a market (``ComptrollerInterface.Action`` of Venus)."""

    REDEEM = 1
    REPAY = 3
    SEIZE = 4
    LIQUIDATE = 5
    TRANSFER = 6


class Risk(Struct, frozen=True, kw_only=True):
    """How a pool of accounts (e-mode) judges a market. Wads."""

    threshold: int
    """Collateral factor on Compound, liquidation threshold on Venus."""
    incentive: int
    listed: bool = True


class Pool(Struct, frozen=True, kw_only=True):
    """A pool of accounts beside the core one."""

    active: bool
    falls_back: bool
    """Whether markets that it does not list are judged as in the core pool."""


class Market(Struct, frozen=True, kw_only=True):
    """One cToken. What never changes comes first, what governance sets after it."""

    number: int
    token: Address
    asset: Address
    """The underlying; the wrapped native coin for a market of native coin."""
    native: bool
    symbol: str
    unit: int
    risks: Mapping[int, Risk]
    """By pool; the core pool is 0."""
    paused: frozenset[Action]
    forced: bool
    """Liquidated without shortfall and in full: forced on Venus, deprecated on Compound."""
    seize_share: int
    """Of seized cTokens, kept by the market itself; wad."""
    reserve_factor: int
    stored: Stored
    rate: int
    """Borrow rate of the stored state, a block or a second; wad."""
    accrued_at: int
    """Block, or second, of the last accrual."""
    initial_rate: int
    """Exchange rate while nothing is supplied."""
    cash_is_balance: bool = False
    """Whether a gift of the underlying, which no event tells of, is cash of the market."""
    names_borrower: bool = True
    """Whether, repaid, it asks for the incentive of the borrower's pool, or for the core pool's."""
    sheds_at: int | None = None
    """First block whose accrual pays the reserves out; None where that never happens."""


class Source(Struct, frozen=True, kw_only=True):
    """The feed behind a price."""

    address: Address
    multiplier: int
    """Answer to price; 0 when the price is not simply the feed's."""
    main: Address | None = None
    """The oracle that a resilient one asks first: it may be told of another feed, or of a price."""


def main_oracles(sources: Mapping[Address, Source]) -> set[Address]:
    """Return the oracles that resilient ones ask first."""
    return {one.main for one in sources.values() if one.main is not None}


class Liquidator(Struct, frozen=True, kw_only=True):
    """Venus's contract through which alone markets may be liquidated."""

    address: Address
    treasury_percent: int
    """Of the bonus; wad."""
    vai_first: bool
    """Whether VAI debt from ``vai_minimum`` up must be repaid before any other."""
    vai_minimum: int


class Vai(Struct, frozen=True, kw_only=True):
    """Venus's own dollar, owed at an index that grows without an event."""

    controller: Address
    token: Address
    index: int
    rate: int
    """A block."""
    accrued_at: int
    liquidation_paused: bool
    repayment_paused: bool = False
    forced: bool = False
    """Liquidated without shortfall and in full."""


class Line(NamedTuple):
    """A market at the moment of a view: as stored, and as an accrual would leave it."""

    stored_rate: int
    """Exchange rate."""
    rate: int
    stored_borrow_index: int
    borrow_index: int
    cash: int
    """What can be redeemed, after the accrual."""
    price: int | None
    """None when it is not known: an account that needs it cannot be judged."""

    @property
    def is_stored(self) -> bool:
        """Whether an accrual would leave it as it is stored."""
        return self.rate == self.stored_rate and self.borrow_index == self.stored_borrow_index


class Weights(NamedTuple):
    """What a pool of accounts counts a market's cTokens for, at a view's moment and prices."""

    price: int
    accrued: int
    """Weighted value of 1e18 cTokens, 1e18 dollars."""
    stored: int
    """The same before an accrual."""
    line: Line
    is_stored: bool
    """The line's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A Comptroller with its markets at a block, and its view at a moment and at prices."""

    comptroller: Address
    oracle: Address
    close_factor: int
    paused: bool
    redeem_fee: int
    """Of what is redeemed, kept by Venus's treasury; wad."""
    by_second: bool
    """True for forks that accrue by the second."""
    mul: MulExp
    markets: tuple[Market, ...]
    numbers: Mapping[Address, int]
    """Market by cToken."""
    sources: Mapping[Address, Source]
    """By cToken."""
    pools: Mapping[int, Pool]
    """Beside the core pool; empty where there are none."""
    forces_accounts: bool
    """Whether single accounts' debts may be marked for forced liquidation."""
    liquidator: Liquidator | None
    vai: Vai | None
    seizes_unentered: bool = False
    """Whether cTokens of a market that the borrower did not enter may be seized too."""
    block: int
    timestamp: int
    prices: Mapping[str, int] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
    vai_index: int = 0
    """As an accrual at the view's block would leave it."""
    weights: dict[tuple[int, int], Weights] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """What was reckoned of this view before, by market and pool; a changed view has its own."""


class Entry(NamedTuple):
    """An account in one market that it entered."""

    market: int
    tokens: int
    principal: int
    principal_index: int
    """Index that ``principal`` is of; the debt is theirs times the market's index."""


class Position(Struct, frozen=True, kw_only=True):
    """An account."""

    entries: tuple[Entry, ...] = ()
    """Of entered markets with cTokens or debt; nothing else counts."""
    unentered: tuple[tuple[int, int], ...] = ()
    """Market and cTokens where it entered not: they count for nothing, and may be seized."""
    idle: int = 0
    """Entered markets with neither, which are visited for nothing."""
    pool: int = CORE_POOL
    forced: frozenset[int] = frozenset()
    """Markets whose debt of this account may be liquidated without shortfall."""
    vai_forced: bool = False
    """Whether its VAI may be liquidated without shortfall."""
    restricted: bool = False
    """Only liquidators on a list may liquidate it."""
    vai_minted: int = 0
    vai_past_interest: int = 0
    vai_index: int = 0
