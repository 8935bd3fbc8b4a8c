"""What is known of a deployment and of an account in one of its pools."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from msgspec import Struct, field

from keeper.core.units import Address
from keeper.protocols.compound_v2.rules import Stored
from keeper.protocols.compound_v2.state import Action, Entry, Source, main_oracles

__all__ = [
    "Action",
    "Deployment",
    "Entry",
    "Line",
    "Market",
    "Pool",
    "Position",
    "Source",
    "main_oracles",
    "numbered",
]

_POOL_BITS: Final = 12


class Pool(Struct, frozen=True, kw_only=True):
    """One Comptroller. Wads; values 1e18 dollars."""

    comptroller: Address
    oracle: Address
    close_factor: int
    incentive: int
    least_collateral: int
    """An account with no more is liquidated whole or healed, and not otherwise."""


class Market(Struct, frozen=True, kw_only=True):
    """One vToken. What never changes comes first, what governance sets after it."""

    number: int
    """Over all pools; it stays a market's own (``numbered``)."""
    token: Address
    comptroller: Address
    asset: Address
    symbol: str
    unit: int
    rate_model: Address
    listed: bool
    """Whether the Comptroller counts it: what is held or owed in another does not."""
    threshold: int
    paused: frozenset[Action]
    forced: bool
    """Liquidated without shortfall and in full."""
    seize_share: int
    """Of the value repaid, kept by the protocol; wad."""
    cash_is_balance: bool
    """Whether a gift of the underlying, which no event tells of, is cash of the market."""
    reserve_factor: int = 0
    stored: Stored = field(
        default_factory=lambda: Stored(cash=0, borrows=0, reserves=0, index=0, supply=0)
    )
    bad_debt: int = 0
    rate: int = 0
    """Borrow rate of the stored state, a block or a second; wad."""
    accrued_at: int = 0
    """Block, or second, of the last accrual."""
    initial_rate: int = 0
    """Exchange rate while nothing is supplied."""


def numbered(pool: int, market: int) -> int:
    """Return the number of a pool's market, given both places.

    Registries and Comptrollers only ever add at the end of their lists, so that positions that are
    kept name the same markets when another is listed.
    """
    return pool << _POOL_BITS | market


class Line(NamedTuple):
    """A market at the moment of a view: as stored, and as an accrual would leave it."""

    stored_rate: int
    """Exchange rate."""
    rate: int
    stored_borrow_index: int
    borrow_index: int
    free: int
    """Cash beyond reserves after the accrual: what may be redeemed; may be negative."""
    price: int | None
    """None when it is not known: an account that needs it cannot be judged."""


class Deployment(Struct, frozen=True, kw_only=True):
    """The pools of a registry at a block, and their view at a moment and at prices."""

    registry: Address
    by_second: bool
    pools: Mapping[Address, Pool]
    """By Comptroller."""
    markets: Mapping[int, Market]
    numbers: Mapping[Address, int]
    """Market by vToken."""
    sources: Mapping[Address, Source]
    """By vToken."""
    block: int
    timestamp: int
    prices: Mapping[str, int] = field(default_factory=dict)
    lines: Mapping[int, Line] = field(default_factory=dict)

    def pool_of(self, number: int) -> Pool:
        """Return the pool of a market."""
        return self.pools[self.markets[number].comptroller]


class Position(Struct, frozen=True, kw_only=True):
    """An account in one pool: the markets that it entered and holds or owes something in."""

    entries: tuple[Entry, ...] = ()
    idle: int = 0
    """Entered markets with neither, which are visited for nothing."""
