"""Prices of a deployment's assets in the native coin, for forecasts and for the books."""

from typing import Generic, TypeVar

from keeper.core.chain import BlockRef
from keeper.core.errors import StaleError
from keeper.core.lending import Valuation
from keeper.core.ports import Prices, ProtocolAdapter
from keeper.core.units import Address
from keeper.oracle.watcher import PriceWatcher

M = TypeVar("M")
P = TypeVar("P")


def valuation(adapter: ProtocolAdapter[M, P], view: M, wrapped_native: Address) -> Valuation:
    """Return the market's prices with that of the native coin.

    Raises StaleError when the market has no price for the wrapped native coin.
    """
    values = adapter.asset_values(view)
    native = values.get(wrapped_native)
    if native is None or native.price <= 0:
        msg = f"{adapter.deployment}: expected a price of {wrapped_native}, found none"
        raise StaleError(msg)
    return Valuation(assets=values, native_price=native.price)


class Appraiser(Generic[M, P]):
    """Values what a transaction moved, at the prices of its own block."""

    def __init__(
        self, adapter: ProtocolAdapter[M, P], watcher: PriceWatcher, wrapped_native: Address
    ) -> None:
        """Make an appraiser that has no market yet."""
        self._adapter = adapter
        self._watcher = watcher
        self._wrapped_native = wrapped_native
        self._market: M | None = None

    def see(self, market: M) -> None:
        """Take the newest market: its assets and decimals are what is needed of it."""
        self._market = market

    def at(self, view: M) -> Valuation:
        """Return the valuation of a priced view."""
        return valuation(self._adapter, view, self._wrapped_native)

    async def at_block(self, block: BlockRef) -> Valuation:
        """Read the prices of a block and return its valuation."""
        if self._market is None:
            msg = f"{self._adapter.deployment}: expected a market, found none yet"
            raise StaleError(msg)
        prices: Prices = (await self._watcher.read(block, None)).prices
        return self.at(self._adapter.at(self._market, timestamp=block.timestamp, prices=prices))
