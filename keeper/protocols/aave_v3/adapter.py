"""Aave V3 behind the port that every room sees."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

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
    ProtocolCall,
    SeizeQuote,
    Touched,
)
from keeper.core.log_columns import LogColumns
from keeper.core.parity import Sides
from keeper.core.plan import Funding
from keeper.core.ports import Prices, Reader
from keeper.core.screening import Exposure, Factor, FactorKey
from keeper.core.units import Address
from keeper.protocols.aave_v3 import (
    aftermath,
    codec,
    events,
    exposure,
    gas,
    health,
    liquidation,
    loans,
    parity,
)
from keeper.protocols.aave_v3.parameters import Parameters
from keeper.protocols.aave_v3.positions import read_positions
from keeper.protocols.aave_v3.reads import read_again, read_whole
from keeper.protocols.aave_v3.refusals import PoolRefusedError, Refusal
from keeper.protocols.aave_v3.roots import Asking
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition, Source

PROTOCOL: Final = "aave_v3"
DOLLAR: Final = BaseUnit(symbol="USD", scale=10**8)


class AaveAdapter(Struct, frozen=True, kw_only=True):
    """One deployment of Aave V3 or of a fork of it (``ProtocolAdapter``)."""

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
        previous: AaveMarket | None,
        touched: Touched | None,
    ) -> AaveMarket:
        """Read the market at ``block``: whole, or only what was touched since ``previous``."""
        asking = Asking(
            reader=reader,
            block=block,
            deployment=self.deployment,
            revisions=self.parameters.revisions,
        )
        if previous is None or touched is None or touched.structure:
            return await read_whole(asking, self.parameters.addresses_provider)
        return await read_again(asking, previous, touched)

    async def read_positions(
        self, reader: Reader, block: BlockRef, market: AaveMarket, refs: Sequence[AccountRef]
    ) -> dict[AccountRef, AavePosition]:
        """Read positions at ``block``, empty ones included."""
        return await read_positions(reader, block, market, refs)

    def discovery_filter(self, market: AaveMarket) -> LogFilter:
        """Return the logs that name every account that ever borrowed."""
        return events.discovery_filter(market)

    def borrowers(self, market: AaveMarket, logs: LogColumns) -> frozenset[AccountRef]:
        """Return the accounts that columns of ``Borrow`` logs name (``Discovering``)."""
        return events.borrowers(market, logs)

    def refs_of(self, market: AaveMarket, account: Address) -> tuple[AccountRef, ...]:
        """Return the account's one place: the pool."""
        return (AccountRef(market=market.pool, account=account),)

    def log_filter(self, market: AaveMarket) -> LogFilter:
        """Return which logs change accounts or the market."""
        return events.log_filter(market)

    def touched(self, market: AaveMarket, logs: Sequence[Log]) -> Touched:
        """Return the accounts and reserves that the logs changed."""
        return events.touched(market, logs)

    def has_debt(self, market: AaveMarket, position: AavePosition) -> bool:  # noqa: ARG002 - the port's
        """Return whether the position owes anything."""
        return bool(position.stable) or any(scaled for _, scaled in position.debt)

    def feeds(self, market: AaveMarket) -> tuple[Feed, ...]:
        """Return the price of each reserve, and of each category that has its own."""
        own = [
            _feed(market, one.asset, one.symbol, one.source)
            for one in market.reserves
            if one is not None
        ]
        shared = [
            _feed(market, key, f"eMode {key[:10]}", source)
            for key, source in market.category_sources.items()
        ]
        return (*own, *shared)

    def feeds_of(self, market: AaveMarket, position: AavePosition) -> frozenset[str]:
        """Return the ids of the prices that the account's health depends on."""
        numbers = {number for number, _ in (*position.collateral, *position.debt)}
        found = {one.asset for one in market.reserves if one is not None and one.id in numbers}
        category = market.categories.get(position.emode)
        if position.emode and category is not None and category.price_source is not None:
            found.add(category.price_source)
        return frozenset(found)

    def at(
        self,
        market: AaveMarket,
        *,
        block: int = 0,  # noqa: ARG002 - interest is by the second
        timestamp: int,
        prices: Prices,
    ) -> AaveMarket:
        """Return the market with interest accrued to ``timestamp`` and at ``prices``."""
        values = {feed: price.value for feed, price in prices.items()}
        return health.view_at(market, timestamp, values)

    def assess(self, view: AaveMarket, position: AavePosition) -> Health:
        """Return the account's health as ``getUserAccountData`` would."""
        return health.assess(view, position)

    def exposure(self, market: AaveMarket, position: AavePosition) -> Exposure | None:  # noqa: ARG002 - the port's
        """Return the account's weights for the screen (``Screened``)."""
        return exposure.exposure(position)

    def factor(self, view: AaveMarket, key: FactorKey) -> Factor:
        """Return what a key's weights are worth at the view's time."""
        return exposure.factor(view, key)

    def repriced(self, view: AaveMarket, prices: Mapping[str, int]) -> AaveMarket:
        """Return the view with some prices replaced, at the same time."""
        return exposure.repriced(view, prices)

    def pack(self, position: AavePosition) -> bytes:
        """Return the position as few bytes."""
        return exposure.pack(position)

    def unpack(self, packed: bytes) -> AavePosition:
        """Return the position that was packed."""
        return exposure.unpack(packed)

    async def audit(
        self,
        reader: Reader,
        block: BlockRef,
        view: AaveMarket,
        positions: Mapping[AccountRef, AavePosition],
    ) -> Mapping[AccountRef, Sides]:
        """Return each account as the view has it and as ``getUserAccountData`` says."""
        return await parity.sides(reader, block, view, positions)

    def legs(self, view: AaveMarket, position: AavePosition) -> Legs:
        """Return the account's collaterals and debts in amounts and prices."""
        return health.legs(view, position)

    def options(self, view: AaveMarket, position: AavePosition) -> tuple[Option, ...]:
        """Return every collateral and debt pair that may be liquidated now."""
        return liquidation.options(view, position)

    def seize(
        self, view: AaveMarket, position: AavePosition, option: Option, repay: int
    ) -> SeizeQuote:
        """Return what offering ``repay`` takes and gives; raise RefusedError as the Pool would."""
        return liquidation.seize(view, position, option, repay)

    def seizer(
        self, view: AaveMarket, position: AavePosition
    ) -> Callable[[Option, int], SeizeQuote]:
        """Return ``seize`` of one account in one view (``Prepared``)."""
        return liquidation.seizer(view, position)

    def after_seize(
        self, view: AaveMarket, position: AavePosition, option: Option, quote: SeizeQuote
    ) -> tuple[AaveMarket, AavePosition] | None:
        """Return market and position as a liquidation leaves them (``Stepwise``)."""
        return aftermath.after_seize(view, position, option, quote)

    def market_after(
        self,
        view: AaveMarket,
        position: AavePosition,  # noqa: ARG002 - the port's
        option: Option,
        quote: SeizeQuote,
    ) -> AaveMarket:
        """Return the market as a liquidation leaves it for others in the block."""
        return aftermath.market_after(view, option, quote)

    def after_loan(self, view: AaveMarket, loan: Funding) -> AaveMarket:
        """Return the market once a loan is given back (``Lending``)."""
        return loans.after_loan(view, loan)

    def calls(
        self,
        view: AaveMarket,
        ref: AccountRef,
        option: Option,
        quote: SeizeQuote,
        executor: Address,
    ) -> tuple[ProtocolCall, ...]:
        """Return the call of the Pool that liquidates and leaves the underlying in hand."""
        if view.rules.custom_errors and executor == ref.account:
            raise PoolRefusedError(Refusal.SELF_LIQUIDATION, executor)
        offer = quote.repay if quote.offer is None else quote.offer
        data = codec.liquidation_call(option.collateral, option.debt, ref.account, offer)
        call = ProtocolCall(
            target=view.pool,
            data=data,
            token=option.debt,
            spender=view.pool,
            amount=quote.repay + quote.headroom,
        )
        return (call,)

    def gas(
        self,
        view: AaveMarket,
        position: AavePosition,
        option: Option,
        quotes: Sequence[SeizeQuote],
    ) -> int:
        """Return about what gas so many calls of the Pool take."""
        return gas.of(view, position, option, len(quotes))

    def decode(self, market: AaveMarket, logs: Sequence[Log]) -> tuple[Liquidation, ...]:
        """Return the liquidations in a transaction's logs."""
        return events.liquidations(market, logs)

    def base_unit(self, market: AaveMarket, ref: AccountRef) -> BaseUnit:  # noqa: ARG002 - the port's
        """Return US dollars at 1e8, which the thresholds in the contracts are written in."""
        return DOLLAR

    def asset_values(self, view: AaveMarket, market: str) -> Mapping[Address, AssetValue]:  # noqa: ARG002 - the port's
        """Return the price of every asset whose price is known, in the oracle's base currency."""
        return {
            one.asset: AssetValue(symbol=one.symbol, price=view.prices[one.asset], unit=one.unit)
            for one in view.reserves
            if one is not None and one.asset in view.prices
        }


def _feed(market: AaveMarket, key: Address, label: str, source: Source) -> Feed:
    return Feed(
        id=key,
        label=label,
        read=codec.ask_address(market.oracle, codec.GET_ASSET_PRICE, key),
        source=source.address,
        direct=source.direct,
        moves_by_time=not source.direct,
    )


def build(*, deployment: str, start_block: int, parameters: Parameters) -> AaveAdapter:
    """Return the adapter of a deployment."""
    return AaveAdapter(deployment=deployment, start_block=start_block, parameters=parameters)
