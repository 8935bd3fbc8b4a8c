"""Build Venus's isolated pools on a local market: contracts, pools, borrowers."""

from keeper.devnet.assets import ASSETS, opening_prices
from keeper.devnet.build import BUILD_GAS_LIMIT, settle_node
from keeper.devnet.isolated import (
    PACKAGE,
    POOLS,
    Works,
    deploy_registry,
    isolated_artifacts,
    open_pool,
    price_assets,
)
from keeper.devnet.isolated_borrowers import draw_loans, open_loans, supply
from keeper.devnet.isolated_market import LocalIsolated, LocalPool
from keeper.devnet.live import LiveMarket
from keeper.devnet.packages import Progress, ensure_all, quiet
from keeper.devnet.prices import push_prices
from keeper.devnet.sender import Sender
from keeper.devnet.venus import PACKAGES, venus_artifacts


def build_isolated(
    live: LiveMarket,
    *,
    seed: int,
    borrowers: int,
    by_second: bool = False,
    progress: Progress = quiet,
) -> LocalIsolated:
    """Deploy the pools beside what is on the market, with so many borrowers each."""
    rpc, market = live.rpc, live.market
    folders = ensure_all((*PACKAGES, PACKAGE), progress=progress)
    artifacts = {**venus_artifacts(folders), **isolated_artifacts(folders)}
    start_block = int(rpc.call("eth_blockNumber"), 16) + 1
    rpc.batch([("evm_setAutomine", [False]), ("evm_setBlockGasLimit", [hex(BUILD_GAS_LIMIT)])])
    progress("deploying Venus's isolated pools")
    sender = Sender.of(rpc, market.accounts.deployer)
    works = Works(rpc=rpc, sender=sender, artifacts=artifacts, by_second=by_second)
    shared = deploy_registry(works)
    price_assets(works, shared, live, {name for spec in POOLS for name in spec.assets})
    made = [open_pool(works, shared, live, spec) for spec in POOLS]
    sender.mine()
    push_prices(live, opening_prices())
    supplier = Sender.of(rpc, market.accounts.supplier)
    pools = []
    for one in made:
        loans = draw_loans(one, seed=seed, count=borrowers)
        supply(supplier, live, one)
        open_loans(supplier, live, one, loans)
        progress(f"opened {len(loans):,} loans in {one.spec.name}")
        pools.append(
            LocalPool(
                name=one.spec.name,
                comptroller=one.comptroller.address,
                markets={name: token.address for name, token in one.markets.items()},
                borrowers=tuple(loan.account for loan in loans),
            )
        )
    push_prices(live, {symbol: spec.price for symbol, spec in ASSETS.items()})
    settle_node(rpc)
    return LocalIsolated(
        start_block=start_block,
        shared=shared,
        pools=tuple(pools),
    )
