"""What is known of an Aave V3 market and of an account in it."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from msgspec import Struct, field

from keeper.core.units import Address
from keeper.core.values import same
from keeper.protocols.aave_v3.revision import Rules


class Tokens(Struct, frozen=True, kw_only=True):
    """The tokens of a reserve. They change only when the market is read from the root."""

    a_token: Address
    variable_debt: Address
    stable_debt: Address | None
    """None where the release or the reserve has no stable debt."""
    treasury: Address
    """Where the aToken sends the protocol's part of a liquidation bonus."""


class Source(Struct, frozen=True, kw_only=True):
    """The contract that a price comes from."""

    address: Address
    direct: bool
    """True when the price is the answer of a Chainlink proxy, unchanged."""


class Reserve(Struct, frozen=True, kw_only=True):
    """A reserve as stored on chain; indices are those of ``updated``."""

    id: int
    asset: Address
    symbol: str
    unit: int
    tokens: Tokens
    source: Source
    threshold_bps: int
    bonus_bps: int
    protocol_fee_bps: int
    emode_category: int
    """Category number up to 3.1, else 0."""
    is_active: bool
    is_paused: bool
    liquidity_index: int
    variable_index: int
    liquidity_rate: int
    variable_rate: int
    updated: int
    grace_until: int
    cash: int
    """Underlying that the Pool takes to be there, raw units: since 3.1 what it has booked."""
    held: int
    """Underlying that is there, raw units: gifts included."""
    may_have_stable_debt: bool
    supplied: "Supplied | None" = None
    """None where no premium lifts the index: since 3.4, and where there is stable debt, of which
    what it accrues to the treasury is not known."""


class Category(Struct, frozen=True, kw_only=True):
    """An efficiency mode. An undefined one is all zeros, as on chain."""

    threshold_bps: int = 0
    bonus_bps: int = 0
    collateral_bitmap: int = 0
    """3.2+: bit ``i`` set when reserve ``i`` is collateral of the category."""
    price_source: Address | None = None
    """Up to 3.1: the key under which the oracle prices the whole category."""


class Supplied(Struct, frozen=True, kw_only=True):
    """What a premium is shared by, as stored (up to 3.3)."""

    scaled: int
    """Supply of the aToken."""
    treasury: int
    """Accrued to the treasury and not minted yet, scaled."""
    variable: int
    """Supply of the variable debt token, scaled."""
    factor_bps: int
    """Reserve factor."""


class Sentinel(Struct, frozen=True, kw_only=True):
    """The L2 sequencer's guard: liquidations above HF 0.95 wait for it."""

    address: Address
    feed: Address
    aggregator: Address
    """What emits the feed's events: the contract behind the proxy, or the feed itself."""
    grace_s: int
    is_up: bool
    since: int

    def allows(self, timestamp: int) -> bool:
        """Mirror ``PriceOracleSentinel._isUpAndGracePeriodPassed``."""
        return self.is_up and timestamp - self.since > self.grace_s


class Line(NamedTuple):
    """A reserve at the moment of a view, as one account category sees it."""

    liquidity_index: int
    variable_index: int
    price: int | None
    """None when it is not known: an account that needs it cannot be judged."""
    unit: int
    threshold_bps: int
    counts: bool
    """False when the release skips the reserve as collateral altogether."""


Lines = tuple[Line | None, ...]
"""By reserve id; None where the id was dropped."""


class CategoryLines(Mapping[int, Lines]):
    """The lines as accounts of each efficiency mode see them, made when they are first asked for.

    A market may have dozens of modes, and few accounts are looked at in one view.
    """

    def __init__(self, categories: Collection[int], make: Callable[[int], Lines]) -> None:
        """Take the categories' numbers, and what makes the lines of one."""
        self._categories = categories
        self._make = make
        self._made: dict[int, Lines] = {}

    def __getitem__(self, number: int) -> Lines:
        """Return the lines of a category. Raises KeyError for one that there is not."""
        found = self._made.get(number)
        if found is None:
            if number not in self._categories:
                raise KeyError(number)
            found = self._made[number] = self._make(number)
        return found

    def __iter__(self) -> Iterator[int]:
        """Yield the categories' numbers."""
        return iter(self._categories)

    def __len__(self) -> int:
        """Return how many categories there are."""
        return len(self._categories)


class AaveMarket(Struct, frozen=True, kw_only=True):
    """A market at a block, and its view at a time and at prices."""

    pool: Address
    provider: Address
    oracle: Address
    configurator: Address
    revision: int
    rules: Rules
    flash_premium_bps: int
    premium_to_protocol_bps: int
    """Of the premium; the rest is the suppliers' up to 3.3."""
    sentinel: Sentinel | None
    reserves: tuple[Reserve | None, ...]
    """By reserve id; None where the id was dropped, or is of none yet."""
    ids: Mapping[Address, int]
    """Reserve id by underlying."""
    token_ids: Mapping[Address, int]
    """Reserve id by aToken and debt token."""
    categories: Mapping[int, Category]
    category_sources: Mapping[Address, Source]
    """Price sources of categories, by the category's price key."""
    block: int
    timestamp: int
    prices: Mapping[str, int] = field(default_factory=dict)
    lines: Lines = ()
    category_lines: Mapping[int, Lines] = field(default_factory=dict)
    """Follows from the rest."""

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same market, seen alike."""
        return same(self, other, but=1)

    __hash__ = None  # type: ignore[assignment]  # it holds mappings

    def reserve(self, asset: Address) -> Reserve | None:
        """Return the reserve of an underlying, None when it is not listed."""
        number = self.ids.get(asset)
        return None if number is None else self.reserves[number]


class StableDebt(Struct, frozen=True, kw_only=True):
    """A stable-rate debt, which compounds by itself (up to 3.1)."""

    reserve: int
    principal: int
    rate: int
    updated: int


class AavePosition(Struct, frozen=True, kw_only=True):
    """An account: pairs of reserve id and scaled balance, for the reserves its word flags."""

    collateral: tuple[tuple[int, int], ...] = ()
    debt: tuple[tuple[int, int], ...] = ()
    stable: tuple[StableDebt, ...] = ()
    """Each of a reserve that is in ``debt`` too."""
    emode: int = 0
