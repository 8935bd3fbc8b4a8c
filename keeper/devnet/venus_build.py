"""Build Venus on a local market: contracts, markets, borrowers."""

from keeper.devnet.assets import ASSETS, opening_prices
from keeper.devnet.build import BUILD_GAS_LIMIT, settle_node
from keeper.devnet.live import LiveMarket
from keeper.devnet.packages import Progress, ensure_all, quiet
from keeper.devnet.population import draw_population
from keeper.devnet.prices import push_prices
from keeper.devnet.sender import Sender
from keeper.devnet.venus import (
    PACKAGES,
    deploy_core,
    deploy_liquidator,
    deploy_oracles,
    venus_artifacts,
)
from keeper.devnet.venus_borrowers import open_positions, supply_liquidity
from keeper.devnet.venus_market import LocalVenus
from keeper.devnet.venus_markets import NATIVE, deploy_markets, list_markets
from keeper.devnet.venus_vai import sell_vai


def build_venus(
    live: LiveMarket, *, seed: int, borrowers: int, progress: Progress = quiet
) -> LocalVenus:
    """Deploy Venus beside what is on the market, with borrowers of its own.

    The same seed and number of borrowers give the same positions.
    """
    rpc, market = live.rpc, live.market
    artifacts = venus_artifacts(ensure_all(PACKAGES, progress=progress))
    start_block = int(rpc.call("eth_blockNumber"), 16) + 1
    rpc.batch([("evm_setAutomine", [False]), ("evm_setBlockGasLimit", [hex(BUILD_GAS_LIMIT)])])
    progress("deploying Venus")
    sender = Sender.of(rpc, market.accounts.deployer)
    core = deploy_core(sender, artifacts)
    tokens = deploy_markets(sender, artifacts, core, market)
    native = tokens[NATIVE].address
    oracles = deploy_oracles(sender, artifacts, core, native)
    list_markets(sender, core, oracles, tokens, market)
    liquidator = deploy_liquidator(sender, artifacts, core, native, market.weth)
    sender.mine()
    push_prices(live, opening_prices())
    positions = draw_population(seed, borrowers)
    supplier = Sender.of(rpc, market.accounts.supplier)
    supply_liquidity(supplier, live, tokens, positions)
    supplier.mine()
    sell_vai(sender, supplier, live, core.vai)
    supplier.mine()
    opened = open_positions(supplier, live, core, tokens, positions, progress)
    push_prices(live, {symbol: spec.price for symbol, spec in ASSETS.items()})
    settle_node(rpc)
    return LocalVenus(
        start_block=start_block,
        comptroller=core.comptroller.address,
        liquidator=liquidator.address,
        oracle=oracles.resilient.address,
        vai_controller=core.vai_controller.address,
        vai=core.vai.address,
        markets={name: token.address for name, token in tokens.items()},
        borrowers=tuple(opened),
    )
