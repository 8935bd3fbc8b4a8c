"""What an account holds and owes, and what a pool's assets are worth."""

from keeper.core.lending import AssetValue, Leg, Legs
from keeper.core.units import BPS, WAD, Address
from keeper.protocols.compound_v2 import rules as family
from keeper.protocols.venus_isolated.health import debt_of, entered, known_price, whole_price
from keeper.protocols.venus_isolated.state import Deployment, Market, Position


def legs(view: Deployment, position: Position) -> Legs:
    """Return an account's collaterals, redeemed, and debts."""
    collateral, debt = [], []
    for entry in entered(view, position):
        market, line = view.markets[entry.market], view.lines[entry.market]
        if entry.tokens:
            amount = family.redeemed(entry.tokens, line.rate)
            collateral.append(_leg(view, market, amount, market.threshold * BPS // WAD))
        if owed := debt_of(view, entry):
            debt.append(_leg(view, market, owed, 0))
    return Legs(collateral=tuple(collateral), debt=tuple(debt))


def asset_values(view: Deployment, comptroller: str) -> dict[Address, AssetValue]:
    """Return what a whole asset of a pool is worth, where that is known, 1e18 dollars."""
    return {
        one.asset: AssetValue(
            symbol=one.symbol, price=whole_price(one, view.prices[one.token]), unit=one.unit
        )
        for one in view.markets.values()
        if one.comptroller == comptroller and view.prices.get(one.token)
    }


def _leg(view: Deployment, market: Market, amount: int, threshold_bps: int) -> Leg:
    return Leg(
        asset=market.asset,
        symbol=market.symbol,
        amount=amount,
        price=whole_price(market, known_price(view, market.number)),
        threshold_bps=threshold_bps,
    )
