"""Prices of a deployment's assets in the native coin, for forecasts and for the books."""

from collections.abc import Collection, Iterable, Mapping
from typing import Generic, TypeVar

from keeper.app.refusals import refused
from keeper.core.chain import BlockRef
from keeper.core.errors import StaleError
from keeper.core.lending import AccountRef, AssetValue, Reason, Rejection, Valuation
from keeper.core.plan import Opportunity
from keeper.core.ports import ProtocolAdapter
from keeper.core.units import Address
from keeper.oracle.reference import ReferencePrices
from keeper.oracle.watcher import PriceWatcher

M = TypeVar("M")
P = TypeVar("P")


def valuation(
    adapter: ProtocolAdapter[M, P],
    view: M,
    wrapped_native: Address,
    *,
    market: str,
    reference: Mapping[Address, int],
) -> Valuation:
    """Return the prices of a market's assets with that of the native coin, in the same unit.

    A market that does not price the wrapped native coin itself is tied to it by an asset that
    ``reference`` prices as well. Raises StaleError when there is no such asset.
    """
    values = adapter.asset_values(view, market)
    native = values.get(wrapped_native)
    if native is not None and native.price > 0:
        return Valuation(assets=values, native_price=native.price)
    price = _native_price(values, wrapped_native, reference)
    if price is None:
        names = ", ".join(sorted(one.symbol for one in values.values()))
        msg = (
            f"{adapter.deployment}: {market}: expected a price of the native coin, or a "
            f"price_feeds entry of one of {names or 'its assets'} in the chain's file, found none"
        )
        raise StaleError(msg)
    return Valuation(assets=values, native_price=price)


def _native_price(
    values: Mapping[Address, AssetValue], wrapped_native: Address, reference: Mapping[Address, int]
) -> int | None:
    """Return the native coin's price in the unit of ``values``, by way of a shared asset."""
    native = reference.get(wrapped_native)
    if native is None:
        return None
    shared = [asset for asset in sorted(values) if asset in reference and values[asset].price > 0]
    prices = [values[asset].price * native // reference[asset] for asset in shared]
    return next((price for price in prices if price > 0), None)


class Appraiser(Generic[M, P]):
    """Values what a transaction moved, at the prices of its own block."""

    def __init__(
        self,
        adapter: ProtocolAdapter[M, P],
        watcher: PriceWatcher,
        reference: ReferencePrices,
        wrapped_native: Address,
    ) -> None:
        """Make an appraiser that has no market yet."""
        self._adapter = adapter
        self._watcher = watcher
        self._reference = reference
        self._wrapped_native = wrapped_native
        self._market: M | None = None
        self._known: Mapping[Address, int] = {}
        self._leaning: frozenset[str] = frozenset()
        """Markets that were found to lean on the reference prices."""

    def take(self, market: M) -> None:
        """Take the newest market: its assets and decimals are what is needed of it."""
        self._market = market

    async def prepare(self, view: M, refs: Collection[AccountRef], block: BlockRef) -> None:
        """Read the reference prices at ``block``, if a market of the accounts leans on them."""
        native, values = self._wrapped_native, self._adapter.asset_values
        markets = {ref.market for ref in refs}
        if leaning := {one for one in markets if native not in values(view, one)}:
            self._leaning |= leaning
            self._known = await self._reference.read(block)

    async def make_ready(self, refs: Iterable[AccountRef], block: BlockRef) -> None:
        """Read at ``block`` what ``prepare`` is likely to ask for."""
        if not self._leaning.isdisjoint(ref.market for ref in refs):
            await self._reference.read(block)

    def at(self, view: M, ref: AccountRef) -> Valuation:
        """Return the valuation of an account's market in a view that was prepared."""
        return self._value(view, ref, self._known)

    def values(
        self, view: M, opportunities: Iterable[Opportunity]
    ) -> tuple[dict[AccountRef, Valuation], list[Rejection]]:
        """Return the prices that each opportunity is planned at, and those that have none."""
        valuations: dict[AccountRef, Valuation] = {}
        unvalued: list[Rejection] = []
        for one in opportunities:
            try:
                valuations[one.ref] = self.at(view, one.ref)
            except StaleError as error:
                unvalued.append(refused(one, Reason.PRICE_UNUSABLE, error))
        return valuations, unvalued

    async def at_block(self, block: BlockRef, ref: AccountRef) -> Valuation | None:
        """Read the prices of a block and return the valuation of an account's market.

        None where there is none at the block, and so never will be. Raises StaleError where the
        node does not tell.
        """
        if self._market is None:
            msg = f"{self._adapter.deployment}: expected a market, found none yet"
            raise StaleError(msg)
        prices = await self._watcher.prices_at(block)
        reference = await self._reference.read(block)
        view = self._adapter.at(
            self._market, block=block.number, timestamp=block.timestamp, prices=prices
        )
        try:
            return self._value(view, ref, reference)
        except StaleError:
            return None

    def _value(self, view: M, ref: AccountRef, reference: Mapping[Address, int]) -> Valuation:
        return valuation(
            self._adapter, view, self._wrapped_native, market=ref.market, reference=reference
        )
