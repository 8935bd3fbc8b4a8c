"""The prices that a deployment reads."""

from typing import Final

from keeper.core.lending import Feed
from keeper.core.units import Address
from keeper.protocols.morpho_blue import codec, rules
from keeper.protocols.morpho_blue.state import IsolatedMarket, MorphoMarket, PreLiquidation

_BOOKED_WITHIN_S: Final = 86_400
"""How long after its last loan was closed a market's price is still read: the books need it."""


def priced(market: MorphoMarket) -> tuple[Feed, ...]:
    """Return the oracle of each market that owes anything, and of early liquidations in it.

    One that owed until lately is among them: its last liquidation is yet to be valued. What several
    share has the oldest one's label: guards may be set by it.
    """
    found: dict[str, Feed] = {}
    for one in market.markets.values():
        if _is_priced(market, one):
            found.setdefault(one.params.oracle, _feed(one, one.params.oracle, one))
    for early in market.pre_liquidations.values():
        isolated = market.markets[early.market]
        if _is_priced(market, isolated):
            found.setdefault(early.oracle, _feed(isolated, early.oracle, early))
    return tuple(found.values())


def _is_priced(market: MorphoMarket, one: IsolatedMarket) -> bool:
    """Return whether a market's price may be asked for: it owes, or somebody was there lately."""
    return one.totals.borrow_shares > 0 or market.timestamp - one.updated < _BOOKED_WITHIN_S


def _feed(market: IsolatedMarket, oracle: Address, of: IsolatedMarket | PreLiquidation) -> Feed:
    return Feed(
        id=oracle,
        label=f"{market.collateral.symbol}/{market.loan.symbol}",
        read=codec.ask_price(oracle),
        source=oracle,
        direct=False,
        underlying=of.feeds,
        moves_by_time=of.moves_by_time,
        formula=of.formula,
        pair=(market.collateral.symbol, market.loan.symbol),
        scale=rules.ORACLE_PRICE_SCALE * market.loan.unit // market.collateral.unit,
    )
