"""A deployment at a moment, and an account's standing in it."""

from collections.abc import Mapping

from keeper.core.errors import StaleError
from keeper.core.lending import Health, Leg, Legs
from keeper.core.units import BPS, MAX_UINT256, WAD
from keeper.core.values import replace
from keeper.protocols.morpho_blue import rules
from keeper.protocols.morpho_blue.models import borrow_rate
from keeper.protocols.morpho_blue.state import (
    IsolatedMarket,
    Line,
    MorphoMarket,
    MorphoPosition,
    PreLiquidation,
    RateModel,
)


def view_at(market: MorphoMarket, timestamp: int, prices: Mapping[str, int]) -> MorphoMarket:
    """Return the deployment accrued to ``timestamp`` and priced, from what is stored."""
    lines = {key: line_at(one, timestamp, prices) for key, one in market.markets.items()}
    return replace(market, timestamp=timestamp, prices=prices, lines=lines)


def line_at(market: IsolatedMarket, timestamp: int, prices: Mapping[str, int]) -> Line:
    """Return a market as it is at a time."""
    lltv = market.params.lltv
    return Line(
        totals=_totals_at(market, timestamp),
        price=prices.get(market.params.oracle),
        lltv=lltv,
        incentive=rules.incentive_factor(lltv),
        problem=_problem(market),
    )


def line_of(view: MorphoMarket, position: MorphoPosition) -> Line:
    """Return the line that judges a position; raise StaleError when there is none to trust."""
    market = view.market_of(position.market)
    if market is None:
        msg = f"market {position.market}: expected it to be followed, found it is not"
        raise StaleError(msg)
    line = view.lines[market.id]
    if line.problem:
        raise StaleError(line.problem)
    return line


def price_of(view: MorphoMarket, position: MorphoPosition) -> int:
    """Return the price that a position is judged at; raise StaleError when it is not known."""
    early = view.pre_liquidations.get(position.market)
    market = view.market_of(position.market)
    oracle = early.oracle if early is not None else (market.params.oracle if market else None)
    price = None if oracle is None else view.prices.get(oracle)
    if price is None:
        raise _unpriced(oracle)
    return price


def assess(view: MorphoMarket, position: MorphoPosition) -> Health:
    """Mirror ``Morpho._isHealthy``, or the window of a pre-liquidation contract."""
    if not position.shares and not position.collateral:
        return Health(health_factor=MAX_UINT256, liquidatable=False, collateral_base=0, debt_base=0)
    line = line_of(view, position)
    if line.price is None:
        raise _unpriced(position.market)
    price = price_of(view, position)
    owed = borrowed(line, position)
    early = view.pre_liquidations.get(position.market)
    limit = rules.max_borrow(position.collateral, price, _threshold(line, early))
    below = not rules.is_healthy(owed, limit)
    if below and early is not None:  # what is open to all is not liquidated early
        below = rules.is_healthy(owed, rules.max_borrow(position.collateral, price, line.lltv))
    return Health(
        health_factor=rules.health_factor(owed, limit),
        liquidatable=below,
        collateral_base=rules.collateral_value(position.collateral, price),
        debt_base=owed,
    )


def borrowed(line: Line, position: MorphoPosition) -> int:
    """Return what a position owes, raw units of the loan token."""
    totals = line.totals
    return rules.to_assets_ceil(position.shares, totals.borrow_assets, totals.borrow_shares)


def legs(view: MorphoMarket, position: MorphoPosition) -> Legs:
    """Return the collateral and the debt; prices are raw loan units for one whole asset."""
    market = view.market_of(position.market)
    if market is None or not (position.shares or position.collateral):
        return Legs(collateral=(), debt=())
    line = line_of(view, position)
    threshold = _threshold(line, view.pre_liquidations.get(position.market))
    collateral = Leg(
        asset=market.collateral.address,
        symbol=market.collateral.symbol,
        amount=position.collateral,
        price=rules.collateral_value(market.collateral.unit, price_of(view, position)),
        threshold_bps=threshold * BPS // WAD,
    )
    debt = Leg(
        asset=market.loan.address,
        symbol=market.loan.symbol,
        amount=borrowed(line, position),
        price=market.loan.unit,
        threshold_bps=0,
    )
    return Legs(
        collateral=(collateral,) if position.collateral else (),
        debt=(debt,) if position.shares else (),
    )


def _threshold(line: Line, early: PreLiquidation | None) -> int:
    return line.lltv if early is None else early.terms.pre_lltv


def _totals_at(market: IsolatedMarket, timestamp: int) -> rules.Totals:
    seconds = timestamp - market.updated
    if seconds <= 0 or not market.totals.borrow_assets:
        return market.totals
    rate = borrow_rate(market.model, market.stored_rate, market.totals, seconds)
    return rules.accrued(market.totals, rate=rate, fee=market.fee, seconds=seconds)


def _problem(market: IsolatedMarket) -> str:
    if market.model is not RateModel.UNKNOWN:
        return ""
    return (
        f"market {market.id}: interest rate model {market.params.irm}: expected the answers of "
        "AdaptiveCurveIrm or FixedRateIrm, found others"
    )


def _unpriced(oracle: str | None) -> StaleError:
    return StaleError(f"price of oracle {oracle}: expected one, found none")
