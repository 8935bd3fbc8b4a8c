"""What is known of a Morpho Blue deployment and of an account in one of its markets."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple

from msgspec import Struct, field

from keeper.core.lending import Formula
from keeper.core.units import Address
from keeper.protocols.morpho_blue.rules import PreTerms, Totals


class MarketParams(NamedTuple):
    """The five words whose hash is a market's id."""

    loan: Address
    collateral: Address
    oracle: Address
    irm: Address
    lltv: int
    """Wad."""


class RateModel(Enum):
    """The rules that a market's interest follows."""

    NONE = auto()
    """No model: nothing accrues."""
    ADAPTIVE = auto()
    """``AdaptiveCurveIrm``."""
    FIXED = auto()
    """``FixedRateIrm``."""
    UNKNOWN = auto()
    """None that is known: the market's accounts cannot be judged at a later time."""


class Token(Struct, frozen=True, kw_only=True):
    """A token of a market."""

    address: Address
    symbol: str
    unit: int


class IsolatedMarket(Struct, frozen=True, kw_only=True):
    """A market as stored on chain; the totals are those of ``updated``."""

    id: str
    params: MarketParams
    loan: Token
    collateral: Token
    model: RateModel
    feeds: tuple[Address, ...]
    """Chainlink proxies that the oracle is made of, as far as it says so."""
    moves_by_time: bool = False
    """True unless the oracle says that no vault is part of its price."""
    formula: Formula | None = None
    """How the oracle reckons its price, where it is of feeds alone."""
    totals: Totals
    updated: int
    fee: int
    """Share of the interest that suppliers do not get, wad."""
    stored_rate: int
    """The model's own word of the market: the rate at target, or the fixed rate."""


class PreLiquidation(Struct, frozen=True, kw_only=True):
    """A contract that borrowers of one market may authorise to liquidate them early."""

    address: Address
    market: str
    terms: PreTerms
    oracle: Address
    """May differ from the market's."""
    feeds: tuple[Address, ...]
    moves_by_time: bool = False
    formula: Formula | None = None
    users: frozenset[Address]
    """Who ever authorised it: nobody else can be liquidated by it."""


class Line(NamedTuple):
    """A market at the moment of a view."""

    totals: Totals
    price: int | None
    """Of the market's oracle; None when it is not known."""
    lltv: int
    incentive: int
    problem: str
    """Why no account can be judged at this time, else empty."""


class MorphoMarket(Struct, frozen=True, kw_only=True):
    """A deployment at a block, and its view at a time and at prices."""

    morpho: Address
    factories: tuple[Address, ...]
    markets: Mapping[str, IsolatedMarket]
    """Those that are followed, by id, oldest first: anybody may add to them."""
    pre_liquidations: Mapping[str, PreLiquidation]
    """By address, those that somebody authorised: each is a market of its own to the rooms."""
    dormant: frozenset[Address] = frozenset()
    """Pre-liquidation contracts that nobody authorised. Anybody may create more of them, with an
    oracle of their choice: none of them is asked for anything."""
    block: int
    timestamp: int
    prices: Mapping[str, int] = field(default_factory=dict)
    """By the oracle's address."""
    lines: Mapping[str, Line] = field(default_factory=dict)
    """By market id."""

    def market_of(self, key: str) -> IsolatedMarket | None:
        """Return the market that an ``AccountRef.market`` is about, None when not followed."""
        early = self.pre_liquidations.get(key)
        return self.markets.get(early.market if early is not None else key)

    def early_of(self, market: str, account: Address) -> tuple[str, ...]:
        """Return the pre-liquidation contracts of a market that an account ever authorised."""
        return tuple(
            key
            for key, one in self.pre_liquidations.items()
            if one.market == market and account in one.users
        )


class MorphoPosition(Struct, frozen=True, kw_only=True):
    """An account in a market; all zeros where it may not be pre-liquidated."""

    market: str
    """As in ``AccountRef.market``: an id, or the address of a pre-liquidation contract."""
    shares: int
    """Borrow shares."""
    collateral: int
    """Raw units."""
