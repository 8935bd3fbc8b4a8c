"""A built market with a connection to its node: contracts to call, accounts to read."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from keeper.core.units import Address
from keeper.devnet.borrowers import factory_artifact
from keeper.devnet.chainlink import aggregator_artifact
from keeper.devnet.contract import Artifact, Contract
from keeper.devnet.market import LocalMarket
from keeper.devnet.packages import MARKET_PACKAGES, ensure_all, quiet
from keeper.devnet.releases import release_of
from keeper.devnet.rpc import Rpc
from keeper.devnet.sender import read_all
from keeper.devnet.tokens import token_artifacts
from keeper.devnet.uniswap import Pair, exchange_artifacts


class AccountData(Struct, frozen=True, kw_only=True):
    """What `Pool.getUserAccountData` says of an account: base currency 1e8, health 1e18."""

    collateral_base: int
    debt_base: int
    available_borrows_base: int
    threshold_bps: int
    ltv_bps: int
    health_factor: int


class LiveMarket(Struct, frozen=True, kw_only=True):
    """A market on a node that answers."""

    market: LocalMarket
    rpc: Rpc
    provider: Contract
    pool: Contract
    configurator: Contract
    oracle: Contract
    data_provider: Contract
    liquidation_data_provider: Contract | None
    quoter: Contract
    swap_router: Contract
    borrower_factory: Contract
    tokens: Mapping[str, Contract]
    a_tokens: Mapping[str, Contract]
    aggregators: Mapping[str, Contract]
    exchange_pools: Sequence[tuple[Contract, Pair]]


def open_live(market: LocalMarket, rpc_url: str) -> LiveMarket:
    """Return the market as contracts to call on the node at `rpc_url`, or on a fork of it."""
    folders = ensure_all(MARKET_PACKAGES)
    aave = release_of(market.aave).artifacts(quiet)
    exchange = exchange_artifacts(folders)
    tokens = token_artifacts(folders["aave-core-v3"])
    aggregator = aggregator_artifact(folders["chainlink-feeds"])
    return LiveMarket(
        market=market,
        rpc=Rpc(rpc_url),
        provider=Contract(artifact=aave["PoolAddressesProvider"], address=market.provider),
        pool=Contract(artifact=aave["Pool"], address=market.pool),
        configurator=Contract(artifact=aave["PoolConfigurator"], address=market.configurator),
        oracle=Contract(artifact=aave["AaveOracle"], address=market.oracle),
        data_provider=Contract(
            artifact=aave["AaveProtocolDataProvider"], address=market.data_provider
        ),
        liquidation_data_provider=_liquidation_data_provider(market, aave),
        quoter=Contract(artifact=exchange.quoter, address=market.quoter),
        swap_router=Contract(artifact=exchange.swap_router, address=market.swap_router),
        borrower_factory=Contract(artifact=factory_artifact(), address=market.borrower_factory),
        tokens={
            a.symbol: Contract(artifact=tokens[a.symbol], address=a.token) for a in market.assets
        },
        a_tokens={
            a.symbol: Contract(artifact=aave["AToken"], address=a.a_token) for a in market.assets
        },
        aggregators={
            a.symbol: Contract(artifact=aggregator, address=a.aggregator) for a in market.assets
        },
        exchange_pools=[
            (
                Contract(artifact=exchange.pool, address=pool.address),
                Pair(
                    symbol0=pool.symbol0,
                    symbol1=pool.symbol1,
                    token0=pool.token0,
                    token1=pool.token1,
                    fee=pool.fee,
                ),
            )
            for pool in market.pools
        ],
    )


def _liquidation_data_provider(
    market: LocalMarket, aave: Mapping[str, Artifact]
) -> Contract | None:
    where = market.liquidation_data_provider
    if where is None:
        return None
    return Contract(artifact=aave["LiquidationDataProvider"], address=where)


def account_data(
    live: LiveMarket, accounts: Sequence[Address], block: str = "latest"
) -> list[AccountData]:
    """Return what the pool says of each account at one block."""
    calls = [(live.pool, "getUserAccountData", (account,)) for account in accounts]
    return [
        AccountData(
            collateral_base=row[0],
            debt_base=row[1],
            available_borrows_base=row[2],
            threshold_bps=row[3],
            ltv_bps=row[4],
            health_factor=row[5],
        )
        for row in read_all(live.rpc, calls, block)
    ]


def under_water(live: LiveMarket) -> list[Address]:
    """Return the borrowers whose health factor is below one, worst first."""
    data = account_data(live, live.market.borrowers)
    found = [
        (row.health_factor, account)
        for row, account in zip(data, live.market.borrowers, strict=True)
        if row.health_factor < 10**18
    ]
    return [account for _, account in sorted(found)]
