"""cTokens of a market whose underlying is gone are seized by nobody; the others are as before."""

import pytest

from keeper.core.errors import RefusedError
from keeper.core.lending import Option
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.protocols.compound_v2.liquidation import options as core_options
from keeper.protocols.compound_v2.liquidation import seize as core_seize
from keeper.protocols.compound_v2.rules import Stored
from keeper.protocols.venus_isolated.liquidation import options as isolated_options
from keeper.protocols.venus_isolated.liquidation import seize as isolated_seize
from tests.support import compound_market, isolated_pools

GONE = Stored(cash=0, borrows=0, reserves=0, index=WAD, supply=10**8)


def emptied(markets, **changed: object):
    """Return markets of which the third is worth nothing."""
    return (*markets[:2], replace(markets[2], stored=GONE, **changed), *markets[3:])


def pair_of(base, collateral: int) -> Option:
    return Option(
        collateral=base.MARKETS[collateral].asset, debt=base.MARKETS[1].asset, max_repay=0
    )


def test_a_market_of_the_family_that_is_worth_nothing():
    base = compound_market
    view = base.view(base.deployment(emptied(base.MARKETS)))
    short = base.account({0: 10**10, 2: 10**8}, {1: 10**12})
    assert [one.collateral for one in core_options(view, short)] == [base.MARKETS[0].asset]
    assert core_seize(view, short, pair_of(base, 0), 10**6).seized > 0
    with pytest.raises(RefusedError, match="divide by zero"):
        core_seize(view, short, pair_of(base, 2), 10**6)


def test_the_same_where_vai_is_owed():
    base = compound_market
    of = base.deployment(emptied(base.MARKETS), vai=base.vai())
    short = base.account({0: 10**10, 2: 10**8}, {}, vai_minted=10**24, vai_index=WAD)
    found = core_options(base.view(of), short)
    assert [one.collateral for one in found] == [base.MARKETS[0].asset]


def test_a_market_of_an_isolated_pool_that_is_worth_nothing():
    base = isolated_pools
    view = base.view(base.deployment(emptied(base.MARKETS, bad_debt=0)))
    short = base.account({0: base.tokens(0, 10_000), 2: 10**8}, {1: base.owed(1, 900_000)})
    found = isolated_options(view, short)
    assert {one.collateral for one in found} == {base.MARKETS[0].asset}
    with pytest.raises(RefusedError, match="division by zero"):
        isolated_seize(view, short, pair_of(base, 2), 10**6)
