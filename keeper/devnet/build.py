"""Build the local market on an empty anvil: protocols, feeds, exchange, borrowers."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from msgspec import Struct

from keeper.core.errors import ConfigError
from keeper.core.units import Address
from keeper.devnet.aave import Aave, ReserveTokens, reserve_tokens
from keeper.devnet.accounts import Accounts, assign_accounts
from keeper.devnet.assets import ASSETS, FLASH_PREMIUM_BPS, POOLS, opening_prices
from keeper.devnet.borrowers import deploy_factory, open_positions, supply_liquidity
from keeper.devnet.chainlink import Feed, deploy_feeds, submit_answers
from keeper.devnet.contract import Artifact, Contract
from keeper.devnet.market import LocalMarket, MarketAsset, MarketPool
from keeper.devnet.multicall import MULTICALL3, multicall3_runtime
from keeper.devnet.packages import MARKET_PACKAGES, Progress, ensure_all, quiet
from keeper.devnet.population import Position, draw_population
from keeper.devnet.releases import OLDEST, Release, release_of
from keeper.devnet.rpc import Rpc
from keeper.devnet.sender import Sender, unlocked_accounts
from keeper.devnet.tokens import approve_all, deploy_tokens, fund
from keeper.devnet.uniswap import (
    ExchangeArtifacts,
    Uniswap,
    deploy_uniswap,
    exchange_artifacts,
    liquidity_needed,
    open_pools,
    pair_of,
    pool_addresses,
)

BLOCK_INTERVAL_S = 12
BASE_FEE_WEI = 2 * 10**9
BLOCK_GAS_LIMIT = 60_000_000

BUILD_GAS_LIMIT = 10**11
_RICH_WEI = 10**9 * 10**18
_USD = 10**8


class _Works(Struct, frozen=True, kw_only=True):
    """What the stages of a build share."""

    rpc: Rpc
    accounts: Accounts
    deployer: Sender
    oracle_node: Sender
    folders: Mapping[str, Path]
    release: Release
    artifacts: Mapping[str, Artifact]
    exchange: ExchangeArtifacts
    progress: Progress


class _Deployed(Struct, frozen=True, kw_only=True):
    """The contracts of a market, before anyone used it."""

    tokens: Mapping[str, Contract]
    feeds: Mapping[str, Feed]
    aave: Aave
    uniswap: Uniswap
    factory: Contract

    def addresses(self) -> dict[str, Address]:
        """Return the tokens' addresses by symbol."""
        return {symbol: token.address for symbol, token in self.tokens.items()}


def build_market(
    rpc_url: str,
    *,
    seed: int = 1,
    borrowers: int = 100,
    aave: str = OLDEST,
    progress: Progress = quiet,
) -> LocalMarket:
    """Build a market on the empty anvil at `rpc_url` and leave it mining on every transaction.

    `aave` is the release of Aave V3. The same seed, number of borrowers and release give the same
    addresses, positions and health factors. Raises ConfigError when the node is not an empty one,
    the release is unknown, or a package cannot be had.
    """
    with closing(Rpc(rpc_url)) as rpc:
        start_block = int(rpc.call("eth_blockNumber"), 16)
        works = _prepare(rpc, release_of(aave), progress)
        deployed = _deploy(works)
        positions = draw_population(seed, borrowers)
        opened = _populate(works, deployed, positions)
        _settle_prices(works, deployed)
        market = _describe(works, deployed, seed=seed, start_block=start_block, borrowers=opened)
    progress(f"market ready: {len(opened):,} borrowers, block {market.ready_block}")
    return market


def _prepare(rpc: Rpc, release: Release, progress: Progress) -> _Works:
    folders = ensure_all(MARKET_PACKAGES, progress=progress)
    accounts = assign_accounts(unlocked_accounts(rpc))
    if int(rpc.call("eth_getTransactionCount", accounts.deployer, "latest"), 16) != 0:
        raise ConfigError(f"{rpc.url}: expected an empty chain to build on, found transactions")
    rich = (accounts.deployer, accounts.arbitrageur, accounts.supplier)
    rpc.batch(
        [
            ("evm_setAutomine", [False]),
            ("evm_setBlockGasLimit", [hex(BUILD_GAS_LIMIT)]),
            ("anvil_setBlockTimestampInterval", [BLOCK_INTERVAL_S]),
            *(("anvil_setBalance", [account, hex(_RICH_WEI)]) for account in rich),
            ("anvil_setCode", [MULTICALL3, multicall3_runtime(progress)]),
        ]
    )
    return _Works(
        rpc=rpc,
        accounts=accounts,
        deployer=Sender.of(rpc, accounts.deployer),
        oracle_node=Sender.of(rpc, accounts.oracle_node),
        folders=folders,
        release=release,
        artifacts=release.artifacts(progress),
        exchange=exchange_artifacts(folders),
        progress=progress,
    )


def _deploy(works: _Works) -> _Deployed:
    works.progress(f"deploying tokens, price feeds and Aave V{works.release.version}")
    sender = works.deployer
    tokens = deploy_tokens(sender, works.folders["aave-core-v3"])
    feeds = deploy_feeds(sender, works.folders["chainlink-feeds"], works.accounts.oracle_node)
    sources = {s: (tokens[s].address, feeds[s].proxy.address) for s in ASSETS}
    aave = works.release.deploy(sender, works.artifacts, sources, works.accounts.treasury)
    _submit(works, feeds, opening_prices())
    works.release.list_reserves(sender, works.artifacts, aave, tokens)
    works.progress("deploying Uniswap V3 and its liquidity")
    uniswap = deploy_uniswap(sender, works.exchange, tokens["WETH"].address)
    factory = deploy_factory(sender, aave.pool.address, tokens)
    sender.mine()
    fund(sender, tokens, sender.account, liquidity_needed())
    approve_all(sender, tokens, uniswap.position_manager.address)
    deployed = _Deployed(tokens=tokens, feeds=feeds, aave=aave, uniswap=uniswap, factory=factory)
    open_pools(sender, uniswap, deployed.addresses())
    sender.mine()
    return deployed


def _populate(works: _Works, deployed: _Deployed, positions: Sequence[Position]) -> list[Address]:
    supplier = Sender.of(works.rpc, works.accounts.supplier)
    tokens = deployed.tokens
    supply_liquidity(supplier, deployed.aave.pool, tokens, positions)
    arbitrageur = Sender.of(works.rpc, works.accounts.arbitrageur)
    hoard = {s: 10**9 * _USD * 10**spec.decimals // spec.price for s, spec in ASSETS.items()}
    fund(arbitrageur, tokens, arbitrageur.account, hoard)
    approve_all(arbitrageur, tokens, deployed.uniswap.swap_router.address)
    supplier.mine()
    arbitrageur.mine()
    return open_positions(
        works.deployer, deployed.factory, tokens, positions, progress=works.progress
    )


def _settle_prices(works: _Works, deployed: _Deployed) -> None:
    _submit(works, deployed.feeds, {symbol: spec.price for symbol, spec in ASSETS.items()})
    settle_node(works.rpc)


def settle_node(rpc: Rpc) -> None:
    """Give the node ordinary blocks again, mined on every transaction."""
    rpc.batch(
        [
            ("evm_setBlockGasLimit", [hex(BLOCK_GAS_LIMIT)]),
            ("anvil_setNextBlockBaseFeePerGas", [hex(BASE_FEE_WEI)]),
            ("evm_mine", []),
            ("evm_setAutomine", [True]),
        ]
    )


def _submit(works: _Works, feeds: Mapping[str, Feed], answers: Mapping[str, int]) -> None:
    aggregators = {symbol: feed.aggregator for symbol, feed in feeds.items()}
    submit_answers(works.rpc, works.oracle_node, aggregators, answers)
    works.oracle_node.mine()


def _describe(
    works: _Works,
    deployed: _Deployed,
    *,
    seed: int,
    start_block: int,
    borrowers: Sequence[Address],
) -> LocalMarket:
    rpc, aave, uniswap = works.rpc, deployed.aave, deployed.uniswap
    reserves = reserve_tokens(rpc, aave.data_provider, deployed.tokens)
    return LocalMarket(
        aave=works.release.version,
        chain_id=int(rpc.call("eth_chainId"), 16),
        seed=seed,
        start_block=start_block,
        ready_block=int(rpc.call("eth_blockNumber"), 16),
        flash_premium_bps=FLASH_PREMIUM_BPS,
        provider=aave.provider.address,
        pool=aave.pool.address,
        configurator=aave.configurator.address,
        acl_manager=aave.acl_manager.address,
        oracle=aave.oracle.address,
        data_provider=aave.data_provider.address,
        liquidation_data_provider=_place(aave.liquidation_data_provider),
        multicall3=MULTICALL3,
        uniswap_factory=uniswap.factory.address,
        position_manager=uniswap.position_manager.address,
        swap_router=uniswap.swap_router.address,
        swap_router_02=uniswap.swap_router_02.address,
        quoter=uniswap.quoter.address,
        borrower_factory=deployed.factory.address,
        accounts=works.accounts,
        assets=tuple(_asset(deployed, symbol, reserves[symbol]) for symbol in ASSETS),
        pools=_pools(rpc, deployed),
        borrowers=tuple(borrowers),
    )


def _place(contract: Contract | None) -> Address | None:
    return None if contract is None else contract.address


def _asset(deployed: _Deployed, symbol: str, reserve: ReserveTokens) -> MarketAsset:
    return MarketAsset(
        symbol=symbol,
        decimals=ASSETS[symbol].decimals,
        token=deployed.tokens[symbol].address,
        a_token=reserve.a_token,
        stable_debt_token=reserve.stable_debt_token,
        variable_debt_token=reserve.variable_debt_token,
        feed=deployed.feeds[symbol].proxy.address,
        aggregator=deployed.feeds[symbol].aggregator.address,
    )


def _pools(rpc: Rpc, deployed: _Deployed) -> tuple[MarketPool, ...]:
    pairs = [pair_of(spec, deployed.addresses()) for spec in POOLS]
    places = pool_addresses(rpc, deployed.uniswap, pairs)
    return tuple(
        MarketPool(
            address=place,
            symbol0=pair.symbol0,
            symbol1=pair.symbol1,
            token0=pair.token0,
            token1=pair.token1,
            fee=pair.fee,
        )
        for place, pair in zip(places, pairs, strict=True)
    )
