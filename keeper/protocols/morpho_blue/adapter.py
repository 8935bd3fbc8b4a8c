"""Morpho Blue behind the port that every room sees."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from keeper.core.chain import BlockRef, Log, LogFilter
from keeper.core.errors import StaleError
from keeper.core.lending import (
    AccountRef,
    AssetValue,
    BaseUnit,
    Feed,
    Health,
    Legs,
    Liquidation,
    Option,
    ProtocolCall,
    SeizeQuote,
    Touched,
)
from keeper.core.parity import Sides
from keeper.core.ports import Prices, Reader
from keeper.core.screening import Exposure, Factor, FactorKey
from keeper.core.units import WAD, Address
from keeper.protocols.morpho_blue import (
    codec,
    events,
    exposure,
    gas,
    health,
    liquidation,
    parity,
    rules,
)
from keeper.protocols.morpho_blue.asking import Asking
from keeper.protocols.morpho_blue.feeds import priced
from keeper.protocols.morpho_blue.parameters import Parameters
from keeper.protocols.morpho_blue.positions import read_positions
from keeper.protocols.morpho_blue.reads import read_again, read_whole
from keeper.protocols.morpho_blue.state import (
    IsolatedMarket,
    MorphoMarket,
    MorphoPosition,
)

PROTOCOL: Final = "morpho_blue"
UNFOLLOWED: Final = BaseUnit(symbol="?", scale=1)


class MorphoAdapter(Struct, frozen=True, kw_only=True):
    """One deployment of Morpho Blue (``ProtocolAdapter``).

    ``AccountRef.market`` is a market's id, or the address of a pre-liquidation contract: that has
    its own threshold, price and limits for the same position.
    """

    deployment: str
    start_block: int
    parameters: Parameters

    @property
    def protocol(self) -> str:
        """Return the family's name."""
        return PROTOCOL

    async def read_market(
        self,
        reader: Reader,
        block: BlockRef,
        previous: MorphoMarket | None,
        touched: Touched | None,
    ) -> MorphoMarket:
        """Read the followed markets at ``block``: all, or those touched since ``previous``."""
        asking = Asking(reader=reader, block=block, deployment=self.deployment)
        if previous is None or touched is None:
            return await read_whole(asking, self.parameters, self.start_block)
        return await read_again(asking, self.parameters, previous, touched)

    async def read_positions(
        self, reader: Reader, block: BlockRef, market: MorphoMarket, refs: Sequence[AccountRef]
    ) -> dict[AccountRef, MorphoPosition]:
        """Read positions at ``block``, empty ones included."""
        return await read_positions(reader, block, market, refs)

    def discovery_filter(self, market: MorphoMarket) -> LogFilter:
        """Return the logs that name every account that ever borrowed."""
        return events.discovery_filter(market)

    def opening_filter(self, market: MorphoMarket) -> LogFilter:
        """Return the logs that announce markets and authorisations (``Opening``)."""
        return events.opening_filter(market)

    def opened(self, market: MorphoMarket, logs: Sequence[Log]) -> frozenset[str]:
        """Return in which places nobody was before the logs (``Opening``)."""
        return events.opened(market, logs)

    def refs_of(self, market: MorphoMarket, account: Address) -> tuple[AccountRef, ...]:
        """Return the account in every followed market."""
        names = (*market.markets, *market.pre_liquidations)  # those are of followed markets
        return tuple(AccountRef(market=name, account=account) for name in names)

    def log_filter(self, market: MorphoMarket) -> LogFilter:
        """Return which logs change accounts or markets."""
        return events.log_filter(market)

    def touched(self, market: MorphoMarket, logs: Sequence[Log]) -> Touched:
        """Return the accounts and markets that the logs changed."""
        return events.touched(market, self.parameters, logs)

    def has_debt(self, market: MorphoMarket, position: MorphoPosition) -> bool:  # noqa: ARG002 - the port's
        """Return whether the position owes anything."""
        return position.shares > 0

    def feeds(self, market: MorphoMarket) -> tuple[Feed, ...]:
        """Return the oracle of each market that owes anything, and of early liquidations in it."""
        return priced(market)

    def feeds_of(self, market: MorphoMarket, position: MorphoPosition) -> frozenset[str]:
        """Return the oracles that the account's health depends on."""
        isolated = market.market_of(position.market)
        if isolated is None or not (position.shares or position.collateral):
            return frozenset()
        early = market.pre_liquidations.get(position.market)
        own = () if early is None else (early.oracle,)
        return frozenset((isolated.params.oracle, *own))

    def at(
        self,
        market: MorphoMarket,
        *,
        block: int = 0,  # noqa: ARG002 - interest is by the second
        timestamp: int,
        prices: Prices,
    ) -> MorphoMarket:
        """Return the markets with interest accrued to ``timestamp`` and at ``prices``."""
        values = {feed: price.value for feed, price in prices.items()}
        return health.view_at(market, timestamp, values)

    def assess(self, view: MorphoMarket, position: MorphoPosition) -> Health:
        """Return the account's health by Morpho's own predicate."""
        return health.assess(view, position)

    def exposure(self, market: MorphoMarket, position: MorphoPosition) -> Exposure | None:  # noqa: ARG002 - the port's
        """Return the account's weights for the screen (``Screened``)."""
        return exposure.exposure(position)

    def factor(self, view: MorphoMarket, key: FactorKey) -> Factor:
        """Return what a key's weights are worth at the view's time."""
        return exposure.factor(view, key)

    def repriced(self, view: MorphoMarket, prices: Mapping[str, int]) -> MorphoMarket:
        """Return the view with some prices replaced, at the same time."""
        return exposure.repriced(view, prices)

    def pack(self, position: MorphoPosition) -> bytes:
        """Return the position as few bytes."""
        return exposure.pack(position)

    def unpack(self, packed: bytes) -> MorphoPosition:
        """Return the position that was packed."""
        return exposure.unpack(packed)

    async def audit(
        self,
        reader: Reader,
        block: BlockRef,
        view: MorphoMarket,
        positions: Mapping[AccountRef, MorphoPosition],
    ) -> Mapping[AccountRef, Sides]:
        """Return each account as we hold it and as Morpho stores it."""
        return await parity.sides(reader, block, view, positions)

    def legs(self, view: MorphoMarket, position: MorphoPosition) -> Legs:
        """Return the account's collateral and debt in amounts and prices."""
        return health.legs(view, position)

    def options(self, view: MorphoMarket, position: MorphoPosition) -> tuple[Option, ...]:
        """Return the account's one pair, when it may be liquidated now."""
        return liquidation.options(view, position)

    def seize(
        self, view: MorphoMarket, position: MorphoPosition, option: Option, repay: int
    ) -> SeizeQuote:
        """Return what repaying ``repay`` takes and gives; raise RefusedError as Morpho would."""
        return liquidation.seize(view, position, option, repay)

    def market_after(
        self,
        view: MorphoMarket,
        position: MorphoPosition,
        option: Option,  # noqa: ARG002 - an account has one pair
        quote: SeizeQuote,
    ) -> MorphoMarket:
        """Return the market as a liquidation leaves it for others in the block."""
        return liquidation.market_after(view, position, quote)

    def calls(
        self,
        view: MorphoMarket,
        ref: AccountRef,
        option: Option,
        quote: SeizeQuote,
        executor: Address,  # noqa: ARG002 - collateral goes to whoever calls
    ) -> tuple[ProtocolCall, ...]:
        """Return the call that liquidates, by the input that the quote was made with."""
        market = _followed(view, ref.market)
        early = view.pre_liquidations.get(ref.market)
        if early is None:
            target = view.morpho
            data = codec.liquidate(market.params, ref.account, *quote.inputs)
        else:
            target = early.address
            data = codec.pre_liquidate(ref.account, *quote.inputs)
        call = ProtocolCall(
            target=target,
            data=data,
            token=option.debt,
            spender=target,
            amount=quote.repay + quote.headroom,
        )
        return (call,)

    def gas(
        self,
        view: MorphoMarket,
        position: MorphoPosition,
        option: Option,  # noqa: ARG002 - the port's
        quotes: Sequence[SeizeQuote],
    ) -> int:
        """Return about what gas so many calls take, their callbacks' cost to Morpho included."""
        return len(quotes) * gas.of(view, position)

    def decode(self, market: MorphoMarket, logs: Sequence[Log]) -> tuple[Liquidation, ...]:
        """Return the liquidations in a transaction's logs."""
        return events.liquidations(market, logs)

    def base_unit(self, market: MorphoMarket, ref: AccountRef) -> BaseUnit:
        """Return the market's loan token."""
        isolated = market.market_of(ref.market)
        if isolated is None:
            return UNFOLLOWED
        return BaseUnit(symbol=isolated.loan.symbol, scale=isolated.loan.unit)

    def asset_values(self, view: MorphoMarket, market: str) -> Mapping[Address, AssetValue]:
        """Return the prices of a market's two tokens, in 1e-18 of a raw unit of the loan token."""
        isolated = _followed(view, market)
        price = view.lines[isolated.id].price
        if price is None:
            msg = f"price of oracle {isolated.params.oracle}: expected one, found none"
            raise StaleError(msg)
        collateral, loan = isolated.collateral, isolated.loan
        worth = price * collateral.unit * WAD // rules.ORACLE_PRICE_SCALE
        return {
            collateral.address: AssetValue(
                symbol=collateral.symbol, price=worth, unit=collateral.unit
            ),
            loan.address: AssetValue(symbol=loan.symbol, price=loan.unit * WAD, unit=loan.unit),
        }


def _followed(view: MorphoMarket, key: str) -> IsolatedMarket:
    market = view.market_of(key)
    if market is None:
        msg = f"market {key}: expected it to be followed, found it is not"
        raise StaleError(msg)
    return market


def build(*, deployment: str, start_block: int, parameters: Parameters) -> MorphoAdapter:
    """Return the adapter of a deployment."""
    return MorphoAdapter(deployment=deployment, start_block=start_block, parameters=parameters)
