"""What an account holds and owes, and what its assets are worth, to people and to the books."""

from keeper.core.lending import AssetValue, Leg, Legs
from keeper.core.units import BPS, WAD, Address
from keeper.protocols.compound_v2 import rules
from keeper.protocols.compound_v2.health import (
    accrued_vai_debt,
    debt_of,
    known_price,
)
from keeper.protocols.compound_v2.membership import entered, risk_of, unentered
from keeper.protocols.compound_v2.state import Deployment, Market, Position


def legs(view: Deployment, position: Position) -> Legs:
    """Return an account's collaterals, redeemed, and debts; of no weight where it did not enter."""
    collateral, debt = [], []
    for entry in entered(view, position):
        market, line = view.markets[entry.market], view.lines[entry.market]
        if entry.tokens:
            threshold = risk_of(view, market, position.pool).threshold * BPS // WAD
            amount = rules.redeemed(entry.tokens, line.rate)
            collateral.append(_leg(view, market, amount, threshold))
        if owed := debt_of(view, entry):
            debt.append(_leg(view, market, owed, 0))
    tokens = dict(position.unentered)
    for number in unentered(view, position):
        amount = rules.redeemed(tokens[number], view.lines[number].rate)
        collateral.append(_leg(view, view.markets[number], amount, 0))
    if view.vai is not None and (owed := accrued_vai_debt(view, position)):
        debt.append(
            Leg(asset=view.vai.token, symbol="VAI", amount=owed, price=WAD, threshold_bps=0)
        )
    return Legs(collateral=tuple(collateral), debt=tuple(debt))


def asset_values(view: Deployment) -> dict[Address, AssetValue]:
    """Return what a whole asset is worth, where that is known, 1e18 dollars."""
    found = {
        one.asset: AssetValue(
            symbol=one.symbol, price=whole_price(one, view.prices[one.token]), unit=one.unit
        )
        for one in view.markets
        if view.prices.get(one.token)
    }
    if view.vai is not None:
        found[view.vai.token] = AssetValue(symbol="VAI", price=WAD, unit=WAD)
    return found


def whole_price(market: Market, price: int) -> int:
    """Return the price of a whole underlying, 1e18 dollars."""
    return price * market.unit // WAD


def _leg(view: Deployment, market: Market, amount: int, threshold_bps: int) -> Leg:
    return Leg(
        asset=market.asset,
        symbol=market.symbol,
        amount=amount,
        price=whole_price(market, known_price(view, market.number)),
        threshold_bps=threshold_bps,
    )
