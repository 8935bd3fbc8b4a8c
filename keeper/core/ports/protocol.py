"""What rooms ask of a lending protocol."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from keeper.core.chain import BlockRef, Log, LogFilter
from keeper.core.lending import (
    AccountRef,
    AssetValue,
    BaseUnit,
    Feed,
    Health,
    Legs,
    Liquidation,
    Option,
    Price,
    ProtocolCall,
    SeizeQuote,
    Touched,
)
from keeper.core.parity import Sides
from keeper.core.ports.chain import Reader
from keeper.core.units import Address

Prices = Mapping[str, Price]
"""Feed id to price, in the protocol's own scale."""

M = TypeVar("M")
P = TypeVar("P")


class ProtocolAdapter(Protocol[M, P]):
    """A lending protocol, as one deployment on one chain.

    ``M`` is the adapter's market state and ``P`` its position of an account; rooms hand them
    around unopened. Reads are the ``async`` methods; everything else is pure.
    """

    @property
    def protocol(self) -> str:
        """The protocol family, as in the name of its YAML: ``aave_v3``."""
        ...

    @property
    def deployment(self) -> str:
        """The deployment: ``aave_v3.ethereum``."""
        ...

    @property
    def start_block(self) -> int:
        """The block of the deployment's first log."""
        ...

    async def read_market(
        self, reader: Reader, block: BlockRef, previous: M | None, touched: Touched | None
    ) -> M:
        """Read the market at ``block``: whole, or only what was touched since ``previous``.

        Raises ConfigError when the deployment is not what the configuration says, or of a
        revision whose rules are not known.
        """
        ...

    async def read_positions(
        self, reader: Reader, block: BlockRef, market: M, refs: Sequence[AccountRef]
    ) -> dict[AccountRef, P]:
        """Read positions at ``block``. Every ref is in the answer, empty positions included."""
        ...

    def discovery_filter(self, market: M) -> LogFilter:
        """Return the logs that name every account that ever borrowed: no more than those."""
        ...

    def refs_of(self, market: M, account: Address) -> tuple[AccountRef, ...]:
        """Return every place in the market where an address may have a position.

        The same for each address. A start that finds another place discovers all accounts anew,
        unless an adapter that is ``Opening`` says that it began since.
        """
        ...

    def log_filter(self, market: M) -> LogFilter:
        """Return which logs change accounts or the market."""
        ...

    def touched(self, market: M, logs: Sequence[Log]) -> Touched:
        """Return the accounts and parts of the market that the logs changed."""
        ...

    def has_debt(self, market: M, position: P) -> bool:
        """Return whether the position owes anything."""
        ...

    def feeds(self, market: M) -> tuple[Feed, ...]:
        """Return every price that the market reads."""
        ...

    def feeds_of(self, market: M, position: P) -> frozenset[str]:
        """Return the ids of the feeds that the account's health depends on."""
        ...

    def at(self, market: M, *, block: int, timestamp: int, prices: Prices) -> M:
        """Return the market as of a block: interest accrued to it, and at ``prices``.

        ``block`` is its number and ``timestamp`` its unix seconds: protocols accrue by either.
        """
        ...

    def assess(self, view: M, position: P) -> Health:
        """Return the account's health by the protocol's own arithmetic.

        Raises StaleError when a price that it needs is missing.
        """
        ...

    async def audit(
        self, reader: Reader, block: BlockRef, view: M, positions: Mapping[AccountRef, P]
    ) -> Mapping[AccountRef, Sides]:
        """Return both sides of each account: what ``view`` has, what the chain says at ``block``.

        ``view`` is of that block's number, timestamp and prices. The chain's side should come
        another way than ``read_positions``, best from the protocol's own reckoning. An account
        that cannot be judged, for want of a price, is left out.
        """
        ...

    def legs(self, view: M, position: P) -> Legs:
        """Return the account's collaterals and debts in amounts and prices."""
        ...

    def options(self, view: M, position: P) -> tuple[Option, ...]:
        """Return every collateral and debt pair that may be liquidated now."""
        ...

    def seize(self, view: M, position: P, option: Option, repay: int) -> SeizeQuote:
        """Return what repaying ``repay`` raw units would take and give.

        Raises RefusedError, with the protocol's reason, when the protocol would revert.
        """
        ...

    def market_after(self, view: M, position: P, option: Option, quote: SeizeQuote) -> M:
        """Return the market as a liquidation leaves it, at the same moment.

        ``quote`` is of this view and position. Exact for every other account: what comes after it
        in the block is judged and quoted on that.
        """
        ...

    def calls(
        self, view: M, ref: AccountRef, option: Option, quote: SeizeQuote, executor: Address
    ) -> tuple[ProtocolCall, ...]:
        """Return the executor's calls that liquidate and end with the collateral in hand."""
        ...

    def gas(self, view: M, position: P, option: Option, quotes: Sequence[SeizeQuote]) -> int:
        """Return about what gas the calls of quoted liquidations of a pair take, one at least.

        They follow each other in one transaction; refunds are taken off. What borrows, swaps and
        pays out is not in it. An estimate to plan with: the rehearsal's figure takes its place.
        """
        ...

    def decode(self, market: M, logs: Sequence[Log]) -> tuple[Liquidation, ...]:
        """Return the liquidations in a transaction's logs."""
        ...

    def base_unit(self, market: M, ref: AccountRef) -> BaseUnit:
        """Return what the values of an account's health are counted in."""
        ...

    def asset_values(self, view: M, market: str) -> Mapping[Address, AssetValue]:
        """Return the price of every asset of a market (``AccountRef.market``) in one unit.

        The unit may differ from market to market, and is fine enough that rounding a price to it
        does not matter. Raises StaleError when the market has no price.
        """
        ...
