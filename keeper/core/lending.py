"""Values of the lending domain, common to every protocol."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct, field

from keeper.core.chain import Call, Log
from keeper.core.units import WAD, Address, Hash32


class AccountRef(Struct, frozen=True, kw_only=True, order=True):
    """A borrower in a market: the thing that has a health factor.

    ``market`` is the protocol's own name of the pool, comptroller or isolated market.
    """

    market: str
    account: Address


class Touched(Struct, frozen=True, kw_only=True):
    """What a set of logs changed."""

    accounts: frozenset[AccountRef]
    parts: frozenset[str] = frozenset()
    """Parts of the market to read again, in the adapter's own naming (reserves, market ids)."""
    structure: bool = False
    """True when the market itself changed shape: read it again from the root."""


class Scope(Struct, frozen=True, kw_only=True):
    """Where accounts were looked for: nothing is known of any that are elsewhere."""

    since: int
    """The first block that was looked through."""
    places: frozenset[str]
    """``AccountRef.market`` of each."""


NOWHERE: Final = Scope(since=0, places=frozenset())


class Formula(Struct, frozen=True, kw_only=True):
    """How a price is reckoned: the scale times some answers, by the others, rounded down once."""

    scale: int
    over: tuple[Address, ...]
    """Chainlink proxies whose answers multiply the scale."""
    under: tuple[Address, ...] = ()
    """Those whose answers divide it."""
    by: int = 1
    """What divides it besides."""
    most: int | None = None
    """The highest price that there is, None where there is none."""


class Feed(Struct, frozen=True, kw_only=True):
    """A price that a protocol reads, and how to read it the same way.

    ``id`` is the protocol's key of the price (an asset, an oracle, a market).
    """

    id: str
    label: str
    read: Call
    """Returns one word: the price in the protocol's own scale."""
    source: Address
    """The contract behind the price: a Chainlink proxy, an adapter or an oracle."""
    direct: bool
    """True when the protocol's price is the source's answer times ``multiplier``."""
    heartbeat_s: int | None = None
    multiplier: int = 1
    underlying: tuple[Address, ...] = ()
    """Chainlink proxies that a composite price is made of: their events say that it may have
    moved, and it is then read again."""
    formula: Formula | None = None
    """How a composite price follows from answers of ``underlying``, as its contract says. It is
    believed at a block only where it gives what the contract answers there."""
    pair: tuple[str, str] | None = None
    """Symbols of the asset that is priced and of the asset that it is priced in, where both are the
    market's: a move of either moves the price."""
    moves_by_time: bool = False
    """True when the price may differ in the next block without any event, as one does that a vault
    is part of whose shares grow by the second."""
    scale: int | None = None
    """How much of the price is one, to show it to people; None is the base unit's scale."""


class Price(Struct, frozen=True, kw_only=True):
    """A price in the protocol's own scale, with where it is from."""

    value: int
    block: int
    updated_at: int
    """Unix seconds of the answer, or of the block it was read at when the source has none."""


class Health(Struct, frozen=True, kw_only=True):
    """An account's standing. ``health_factor`` orders, ``liquidatable`` decides."""

    health_factor: int
    """Wad; ``MAX_UINT256`` without debt."""
    liquidatable: bool
    collateral_base: int
    """Value in the protocol's base unit."""
    debt_base: int


class Leg(Struct, frozen=True, kw_only=True):
    """One collateral or debt of an account."""

    asset: Address
    symbol: str
    amount: int
    """Raw units of the asset."""
    price: int
    """Protocol scale."""
    threshold_bps: int
    """Liquidation threshold; 0 for a debt."""


class Legs(Struct, frozen=True, kw_only=True):
    """Every collateral and debt of an account."""

    collateral: tuple[Leg, ...]
    debt: tuple[Leg, ...]


class Option(Struct, frozen=True, kw_only=True):
    """A way to liquidate an account that the protocol allows: one collateral, one debt."""

    collateral: Address
    debt: Address
    max_repay: int
    """The most that one call may repay, raw units of the debt."""
    key: str = ""
    """The adapter's own name of the pair, where the assets do not tell it; unopened by others."""
    pays_later: bool = False
    """True when the protocol hands over the collateral, calls back and only then takes its pay.

    No loan is needed. The adapter's one call then ends in empty ``bytes``, which are filled in, and
    its allowance is the most that may be due.
    """


class SeizeQuote(Struct, frozen=True, kw_only=True):
    """What repaying buys, as the protocol's own integers say."""

    repay: int
    """Debt really taken, raw units; at most what was offered."""
    seized: int
    """Collateral taken from the borrower, raw units, protocol fee included."""
    protocol_fee: int
    """Part of ``seized`` that the protocol keeps, raw units of the collateral."""
    offer: int | None = None
    """The adapter's own input that gives exactly this; None when ``repay`` does."""
    inputs: tuple[int, ...] = ()
    """The contract's own arguments for exactly this, where they are not the repaid amount."""
    headroom: int = 0
    """Raw units of debt to have at hand beyond ``repay``, for interest until it lands."""

    @property
    def received(self) -> int:
        """Collateral that reaches the liquidator, raw units."""
        return self.seized - self.protocol_fee


class Held(Struct, frozen=True, kw_only=True):
    """All that the executor holds of a token when it makes the call."""

    token: Address | None
    """None is the native coin."""


class ProtocolCall(Struct, frozen=True, kw_only=True):
    """A contract call of the executor, with the exact allowance that it needs."""

    target: Address
    data: bytes
    """Selector and whole words; those named in ``held`` are filled in when the call is made."""
    token: Address | None = None
    """Token to approve to ``spender`` for this call, or None."""
    spender: Address | None = None
    amount: int = 0
    """Allowance, raw units of ``token``."""
    value: int | Held = 0
    """Wei of native coin to send along."""
    held: Mapping[int, Held] = field(default_factory=dict)
    """Word of ``data``, from 0 after the selector, to the balance that it is."""


class Liquidation(Struct, frozen=True, kw_only=True):
    """A liquidation as the chain's logs tell it."""

    ref: AccountRef
    collateral: Address
    debt: Address
    liquidator: Address
    repaid: int
    seized: int
    """Gross: what the borrower lost, raw units of the collateral."""
    protocol_fee: int
    tx_hash: Hash32
    log: Log
    slack: int = 0
    """Raw units by which ``seized`` and its fee may be off: where receipts are redeemed along with
    others, the logs tell only what all of them came to."""


class BaseUnit(Struct, frozen=True, kw_only=True):
    """What a market counts value in, to show it to people."""

    symbol: str
    scale: int
    """Base units in one of ``symbol``."""


class AssetValue(Struct, frozen=True, kw_only=True):
    """The price of a whole asset, in the unit that its market is valued in."""

    symbol: str
    price: int
    unit: int
    """``10**decimals`` of the asset."""


class Valuation(Struct, frozen=True, kw_only=True):
    """Prices of a market's assets at one moment, and of the native coin in the same base unit."""

    assets: Mapping[Address, AssetValue]
    native_price: int

    def wei_floor(self, asset: Address, amount: int) -> int:
        """Return the value of ``amount`` raw units of ``asset`` in wei of the native coin."""
        value = self.assets[asset]
        return amount * value.price * WAD // (value.unit * self.native_price)

    def amount_ceil(self, asset: Address, wei: int) -> int:
        """Return the raw units of ``asset`` worth at least ``wei`` of the native coin.

        Its price must not be zero, to which that of a token worth next to nothing is rounded.
        """
        value = self.assets[asset]
        return -(-wei * value.unit * self.native_price // (value.price * WAD))


class Reason(StrEnum):
    """Why something was not done. One word for one cause."""

    HEALTHY = "healthy"
    MARKET_PAUSED = "market_paused"
    PRICE_UNUSABLE = "price_unusable"
    HEAD_UNUSABLE = "head_unusable"
    TOO_SMALL = "too_small"
    NO_OPTION = "no_option"
    NO_ROUTE = "no_route"
    NO_FUNDING = "no_funding"
    BELOW_MIN_PROFIT = "below_min_profit"
    FORCED_BUDGET = "forced_budget"
    GAS_PRICE_CAP = "gas_price_cap"
    POLICY = "policy"
    SIMULATION_FAILED = "simulation_failed"
    SIMULATION_DIFFERS = "simulation_differs"
    HALTED = "halted"
    IN_FLIGHT = "in_flight"
    BACKING_OFF = "backing_off"
    DISARMED = "disarmed"
    RECOVERED = "recovered"


class Rejection(Struct, frozen=True, kw_only=True):
    """A "no", with its reason and the figures behind it."""

    ref: AccountRef
    block: int
    reason: Reason
    detail: str
    net_wei: int | None = None
    """The best net that was found, when the refusal is about profit."""
