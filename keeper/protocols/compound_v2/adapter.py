"""Compound V2 and its forks behind the port that every room sees."""

from collections.abc import Mapping, Sequence
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
from keeper.core.parity import Sides
from keeper.core.ports import Prices, Reader
from keeper.core.screening import Exposure, Factor
from keeper.core.units import WAD, Address
from keeper.evm.words import ask_address
from keeper.protocols.compound_v2 import (
    aftermath,
    calls,
    codec,
    decoding,
    events,
    exposure,
    gas,
    health,
    legs,
    liquidation,
    membership,
    parity,
)
from keeper.protocols.compound_v2.asking import Asking
from keeper.protocols.compound_v2.parameters import Parameters
from keeper.protocols.compound_v2.positions import Place, read_positions
from keeper.protocols.compound_v2.reads import read_again, read_whole
from keeper.protocols.compound_v2.state import Deployment, Position

PROTOCOL: Final = "compound_v2"
DOLLAR: Final = BaseUnit(symbol="USD", scale=WAD)


class CompoundAdapter(Struct, frozen=True, kw_only=True):
    """One deployment of Compound V2 or of a fork of it (``ProtocolAdapter``)."""

    protocol: str = PROTOCOL
    deployment: str
    start_block: int
    parameters: Parameters

    async def read_market(
        self,
        reader: Reader,
        block: BlockRef,
        previous: Deployment | None,
        touched: Touched | None,
    ) -> Deployment:
        """Read the deployment at ``block``: whole, or what was touched since ``previous``."""
        asking = Asking(reader=reader, block=block, deployment=self.deployment)
        if previous is None or touched is None or touched.structure:
            return await read_whole(asking, self.parameters)
        return await read_again(asking, previous, touched)

    async def read_positions(
        self, reader: Reader, block: BlockRef, market: Deployment, refs: Sequence[AccountRef]
    ) -> dict[AccountRef, Position]:
        """Read positions at ``block``, empty ones included."""
        slot = self.parameters.account_borrows_slot
        place = Place(reader=reader, block=block, deployment=market, borrows_slot=slot)
        return await read_positions(place, refs)

    def discovery_filter(self, market: Deployment) -> LogFilter:
        """Return the logs that name every account that ever borrowed."""
        return events.discovery_filter(market)

    def refs_of(self, market: Deployment, account: Address) -> tuple[AccountRef, ...]:
        """Return the account's one place: the Comptroller."""
        return (AccountRef(market=market.comptroller, account=account),)

    def log_filter(self, market: Deployment) -> LogFilter:
        """Return which logs change accounts or the deployment."""
        return events.log_filter(market)

    def touched(self, market: Deployment, logs: Sequence[Log]) -> Touched:
        """Return the accounts and markets that the logs changed."""
        return events.touched(market, logs)

    def has_debt(self, market: Deployment, position: Position) -> bool:  # noqa: ARG002 - the port's
        """Return whether the position owes anything."""
        return position.vai_minted > 0 or any(one.principal for one in position.entries)

    def feeds(self, market: Deployment) -> tuple[Feed, ...]:
        """Return the price of each market."""
        return tuple(
            Feed(
                id=one.token,
                label=one.symbol,
                read=ask_address(market.oracle, codec.GET_UNDERLYING_PRICE, one.token),
                source=market.sources[one.token].address,
                direct=market.sources[one.token].multiplier > 0,
                moves_by_time=market.sources[one.token].multiplier == 0,
                multiplier=max(market.sources[one.token].multiplier, 1),
                scale=WAD * WAD // one.unit,
            )
            for one in market.markets
        )

    def feeds_of(self, market: Deployment, position: Position) -> frozenset[str]:
        """Return the ids of the prices that the account's health depends on."""
        counted = membership.entered(market, position)
        return frozenset(market.markets[one.market].token for one in counted)

    def at(self, market: Deployment, *, block: int, timestamp: int, prices: Prices) -> Deployment:
        """Return the deployment as of a block and at ``prices``."""
        values = {feed: price.value for feed, price in prices.items()}
        return health.view_at(market, block, timestamp, values)

    def assess(self, view: Deployment, position: Position) -> Health:
        """Return the account's standing, and whether anybody may liquidate it."""
        return health.assess(view, position)

    async def audit(
        self,
        reader: Reader,
        block: BlockRef,
        view: Deployment,
        positions: Mapping[AccountRef, Position],
    ) -> Mapping[AccountRef, Sides]:
        """Return each account as we hold it and as its markets reckon it."""
        return await parity.sides(reader, block, view, positions)

    def exposure(self, market: Deployment, position: Position) -> Exposure | None:  # noqa: ARG002 - the port's
        """Return the account's weights in the screen's sum."""
        return exposure.exposure(position)

    def factor(self, view: Deployment, key: int) -> Factor:
        """Return what a unit of a weight counts for at the view's moment."""
        return exposure.factor(view, key)

    def repriced(self, view: Deployment, prices: Mapping[str, int]) -> Deployment:
        """Return the view with some prices replaced, at the same moment."""
        return exposure.repriced(view, prices)

    def pack(self, position: Position) -> bytes:
        """Return the position as few bytes."""
        return exposure.pack(position)

    def unpack(self, packed: bytes) -> Position:
        """Return the position that was packed."""
        return exposure.unpack(packed)

    def legs(self, view: Deployment, position: Position) -> Legs:
        """Return the account's collaterals, in underlying, and debts."""
        return legs.legs(view, position)

    def options(self, view: Deployment, position: Position) -> tuple[Option, ...]:
        """Return every collateral and debt pair that may be liquidated now."""
        return liquidation.options(view, position)

    def seize(self, view: Deployment, position: Position, option: Option, repay: int) -> SeizeQuote:
        """Return what repaying takes and gives; raise RefusedError as the contracts would."""
        return liquidation.seize(view, position, option, repay)

    def after_seize(
        self, view: Deployment, position: Position, option: Option, quote: SeizeQuote
    ) -> tuple[Deployment, Position] | None:
        """Return market and position as a liquidation leaves them (``Stepwise``)."""
        return aftermath.after_seize(view, position, option, quote)

    def market_after(
        self, view: Deployment, position: Position, option: Option, quote: SeizeQuote
    ) -> Deployment:
        """Return the market as a liquidation leaves it for others in the block."""
        return aftermath.market_after(view, position, option, quote)

    def calls(
        self,
        view: Deployment,
        ref: AccountRef,
        option: Option,
        quote: SeizeQuote,
        executor: Address,  # noqa: ARG002 - the port's
    ) -> tuple[ProtocolCall, ...]:
        """Return the calls that liquidate, redeem, and leave the underlying in hand."""
        return calls.liquidating(view, ref.account, option, quote)

    def gas(
        self,
        view: Deployment,
        position: Position,
        option: Option,  # noqa: ARG002 - the port's
        quotes: Sequence[SeizeQuote],
    ) -> int:
        """Return about what gas accruing, liquidating and redeeming take."""
        return gas.of(view, position, quotes)

    def decode(self, market: Deployment, logs: Sequence[Log]) -> tuple[Liquidation, ...]:
        """Return the liquidations in a transaction's logs."""
        return decoding.liquidations(market, logs)

    def base_unit(self, market: Deployment, ref: AccountRef) -> BaseUnit:  # noqa: ARG002 - the port's
        """Return US dollars at 1e18, which prices come to."""
        return DOLLAR

    def asset_values(self, view: Deployment, market: str) -> Mapping[Address, AssetValue]:  # noqa: ARG002 - the port's
        """Return the price of every asset whose price is known, 1e18 dollars; VAI is one."""
        return legs.asset_values(view)


def build(*, deployment: str, start_block: int, parameters: Parameters) -> CompoundAdapter:
    """Return the adapter of a deployment."""
    return CompoundAdapter(deployment=deployment, start_block=start_block, parameters=parameters)
