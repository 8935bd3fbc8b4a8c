"""A market that was unlisted does not count, and neither does its price: it bars nobody."""

from keeper.core.lending import AccountRef, Price
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.protocols.compound_v2.adapter import CompoundAdapter
from keeper.protocols.compound_v2.parameters import Parameters as CompoundParameters
from keeper.protocols.compound_v2.state import Risk
from keeper.protocols.venus_isolated.adapter import IsolatedAdapter
from keeper.protocols.venus_isolated.parameters import Parameters as IsolatedParameters
from keeper.scanner.scan import Book, scan
from tests.support import compound_market, isolated_pools
from tests.support.ledger_records import block

WHY = "WBTC: expected a price, found a revert"
RISK = Risk(threshold=8 * WAD // 10, incentive=11 * WAD // 10, listed=False)


def found_in(adapter, deployment, prices, gone, ref: AccountRef, position) -> list[AccountRef]:
    """Return who may be acted on where the price of a market that is gone cannot be read."""
    known = {
        key: Price(value=value, block=1, updated_at=1)
        for key, value in prices.items()
        if key != gone
    }
    book = Book(
        block=block(deployment.block),
        market=deployment,
        positions={ref: position},
        prices=known,
        problems={gone: WHY},
    )
    number, timestamp = deployment.block + 1, deployment.timestamp + 12
    found = scan(adapter, book, number=number, timestamp=timestamp, trigger="test")
    return [one.ref for one in found.opportunities]


def test_an_account_with_tokens_of_an_unlisted_market_is_liquidated_as_others_are():
    base = compound_market
    markets = (*base.MARKETS[:2], replace(base.MARKETS[2], risks={0: RISK}))
    adapter = CompoundAdapter(
        deployment="v",
        start_block=0,
        parameters=CompoundParameters(comptroller=base.COMPTROLLER, wrapped_native=base.WETH),
    )
    short = base.account({0: 10**10, 2: 10**8}, {1: 10**12})
    gone = base.TOKENS[2]
    found = found_in(adapter, base.deployment(markets), base.PRICES, gone, base.ref(), short)
    assert found == [base.ref()]
    bare = found_in(adapter, base.deployment(), base.PRICES, gone, base.ref(), short)
    assert bare == []  # listed, it counts


def test_the_same_in_an_isolated_pool():
    base = isolated_pools
    markets = tuple(replace(one, listed=one.token != base.TOKENS[2]) for one in base.MARKETS)
    adapter = IsolatedAdapter(
        deployment="i",
        start_block=0,
        parameters=IsolatedParameters(pool_registry=base.REGISTRY),
    )
    short = base.account(
        {0: base.tokens(0, 1_000), 2: base.tokens(2, 10)}, {1: base.owed(1, 90_000)}
    )
    gone = base.TOKENS[2]
    found = found_in(adapter, base.deployment(markets), base.PRICES, gone, base.ref(), short)
    assert found == [base.ref()]
    assert found_in(adapter, base.deployment(), base.PRICES, gone, base.ref(), short) == []
