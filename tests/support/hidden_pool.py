"""A pool that the keeper does not look at, and an aggregator's orders filled from it.

Uniswap's own router and QuoterV2 stand behind the aggregator; the pool pays more than the market.
"""

from collections.abc import Callable
from math import floor, log

from keeper.core.units import Address
from keeper.devnet.assets import PoolSpec
from keeper.devnet.contract import Contract
from keeper.devnet.live import LiveMarket
from keeper.devnet.packages import MARKET_PACKAGES, ensure_all
from keeper.devnet.prices import oracle_prices
from keeper.devnet.sender import Sender, read
from keeper.devnet.uniswap import exchange_artifacts, pair_of, sqrt_price_x96
from tests.support.aggregator_server import Filled, Order

HIDDEN_TIER = 3_000
SPACING = 60
FOREVER = 2**40


def open_hidden_pool(live: LiveMarket, symbol: str, pays_bps: int = 10_200) -> None:
    """Open a pool of an asset and WETH that pays so much of what the market pays for it now."""
    manager = Contract(
        artifact=exchange_artifacts(ensure_all(MARKET_PACKAGES)).position_manager,
        address=live.market.position_manager,
    )
    prices = oracle_prices(live)
    prices = {**prices, symbol: prices[symbol] * pays_bps // 10_000}
    tokens = {name: live.tokens[name].address for name in (symbol, "WETH")}
    pair = pair_of(PoolSpec(pair=(symbol, "WETH"), fee=HIDDEN_TIER, rungs=()), tokens)
    price = sqrt_price_x96(pair, prices[pair.symbol0], prices[pair.symbol1])
    middle = floor(2 * log(price / 2**96) / log(1.0001) / SPACING) * SPACING
    amounts = [
        500_000 * 10 ** (8 + live.market.asset(name).decimals) // prices[name]
        for name in (pair.symbol0, pair.symbol1)
    ]
    supplier = Sender.of(live.rpc, live.market.accounts.supplier)
    supplier.call(
        manager,
        "createAndInitializePoolIfNecessary",
        *(pair.token0, pair.token1, HIDDEN_TIER, price),
    )
    for name in tokens:
        supplier.call(live.tokens[name], "approve", manager.address, 2**255)
    ticks = (middle - 20 * SPACING, middle + 20 * SPACING)
    position = (pair.token0, pair.token1, HIDDEN_TIER, *ticks, *amounts, 0, 0)
    supplier.call(manager, "mint", (*position, supplier.account, FOREVER))
    supplier.mine()


def router_of(live: LiveMarket) -> Contract:
    artifact = exchange_artifacts(ensure_all(MARKET_PACKAGES)).swap_router_02
    return Contract(artifact=artifact, address=live.market.swap_router_02)


def filling(live: LiveMarket, *, to: Address | None = None) -> Callable[[Order], Filled]:
    """Return what prices an order by QuoterV2 and answers with the router's calldata."""
    router = router_of(live)

    def fill(order: Order) -> Filled:
        pools = (order.token_in, order.token_out, HIDDEN_TIER)
        wanted = (order.token_in, order.token_out, order.amount, HIDDEN_TIER, 0)
        out = read(live.rpc, live.quoter, "quoteExactInputSingle", wanted)[0]
        data = router.encode("exactInputSingle", (*pools, to or order.taker, order.amount, 0, 0))
        return Filled(amount_out=out, data=data)

    return fill
