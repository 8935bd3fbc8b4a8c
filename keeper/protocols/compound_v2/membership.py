"""Which markets count for an account: those it entered, as its pool of accounts judges them."""

from keeper.protocols.compound_v2.state import (
    CORE_POOL,
    Deployment,
    Entry,
    Market,
    Position,
    Risk,
)

NOTHING = Risk(threshold=0, incentive=0, listed=False)


def risk_of(view: Deployment, market: Market, number: int) -> Risk:
    """Mirror ``MarketFacet.getLiquidationParams``: how an account's pool judges a market."""
    pool = view.pools.get(number)
    if number == CORE_POOL or pool is None or not pool.active:
        return market.risks[CORE_POOL]
    own = market.risks.get(number, NOTHING)
    return market.risks[CORE_POOL] if not own.listed and pool.falls_back else own


def entered(view: Deployment, position: Position) -> tuple[Entry, ...]:
    """Mirror Venus's ``getAssetsIn``: the entered markets that are still listed."""
    markets = view.markets
    return tuple([one for one in position.entries if markets[one.market].risks[CORE_POOL].listed])


def unentered(view: Deployment, position: Position) -> tuple[int, ...]:
    """Return the markets that the account did not enter, and whose cTokens may be seized.

    One without a price is none of them: the account stands without it.
    """
    if not position.unentered or not view.seizes_unentered:
        return ()
    markets, lines = view.markets, view.lines
    held = (number for number, _ in position.unentered)
    return tuple(one for one in held if markets[one].risks[CORE_POOL].listed and lines[one].price)
