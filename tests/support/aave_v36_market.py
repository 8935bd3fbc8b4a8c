"""A market of Aave V3.6 beside the local one: same tokens, same feeds, same borrowers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

from eth_abi.abi import encode

from keeper.core.units import BPS, ZERO_ADDRESS, Address
from keeper.devnet.assets import ASSETS, CATEGORIES, FLASH_PREMIUM_BPS, LIQUIDATION_PROTOCOL_FEE_BPS
from keeper.devnet.contract import Artifact, Contract
from keeper.devnet.live import LiveMarket
from keeper.devnet.prices import oracle_prices
from keeper.devnet.sender import Sender, read
from keeper.devnet.tokens import approve_all
from tests.support.aave_v36_source import LIBRARIES, aave_v36_artifacts

_CASH_USD = 20_000_000
_SIZES_USD = (1_200, 2_500, 5_000, 20_000, 300_000)
_VARIABLE_RATE = 2
_PER_BLOCK = 20
_RATE_DATA = "(uint16,uint32,uint32,uint32)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """The contracts of the market that are called to govern it."""

    live: LiveMarket
    provider: Contract
    configurator: Contract


def deploy_v36(live: LiveMarket) -> Deployed:
    """Deploy and list every asset of the local market."""
    artifacts = aave_v36_artifacts()
    accounts = live.market.accounts
    sender = Sender.of(live.rpc, accounts.deployer)
    provider, oracle = _deploy_root(live, artifacts, sender)
    pool, configurator = _deploy_pool(live, artifacts, sender, provider)
    data_provider = sender.deploy(artifacts["AaveProtocolDataProvider"], provider.address)
    sender.call(provider, "setPoolDataProvider", data_provider.address)
    a_token = sender.deploy(
        artifacts["ATokenInstance"], pool.address, ZERO_ADDRESS, accounts.treasury
    )
    debt_token = sender.deploy(artifacts["VariableDebtTokenInstance"], pool.address, ZERO_ADDRESS)
    _list_assets(live, sender, configurator, (a_token.address, debt_token.address))
    sender.mine()
    assets = tuple(
        replace(
            one,
            a_token=Address(read(live.rpc, pool, "getReserveAToken", one.token)),
            variable_debt_token=Address(
                read(live.rpc, pool, "getReserveVariableDebtToken", one.token)
            ),
        )
        for one in live.market.assets
    )
    market = replace(
        live.market,
        provider=provider.address,
        pool=pool.address,
        configurator=configurator.address,
        oracle=oracle.address,
        data_provider=data_provider.address,
        assets=assets,
    )
    a_tokens = {
        one.symbol: Contract(artifact=a_token.artifact, address=one.a_token) for one in assets
    }
    opened = replace(
        live,
        market=market,
        pool=pool,
        oracle=oracle,
        data_provider=data_provider,
        a_tokens=a_tokens,
    )
    return Deployed(live=opened, provider=provider, configurator=configurator)


def populate(live: LiveMarket, *, seed: int) -> None:
    """Let the local market's borrowers borrow here too, most of them close to what they may."""
    random = Random(seed)  # noqa: S311 - a market, not a secret
    prices = oracle_prices(live)
    supplier = Sender.of(live.rpc, live.market.accounts.supplier)
    owner = Sender.of(live.rpc, live.market.accounts.deployer)
    approve_all(supplier, live.tokens, live.market.pool)

    def supply(symbol: str, usd: float, account: Address) -> None:
        amount = _raw(prices, symbol, usd)
        token = live.tokens[symbol].address
        supplier.call(live.pool, "supply", token, amount, account, 0)

    def borrow(symbol: str, usd: float, account: Address) -> None:
        amount = _raw(prices, symbol, usd)
        token = live.tokens[symbol].address
        data = live.pool.encode("borrow", token, amount, _VARIABLE_RATE, 0, account)
        owner.call(live.borrower_factory, "execute", account, live.pool.address, data)

    for symbol in ASSETS:
        supply(symbol, _CASH_USD, supplier.account)
    for number, account in enumerate(live.market.borrowers):
        if number % _PER_BLOCK == 0:
            supplier.mine()
            owner.mine()
        usd = random.choice(_SIZES_USD)
        held = random.sample(tuple(ASSETS), random.choice((1, 1, 1, 2, 3)))
        owed = random.sample(tuple(ASSETS), random.choice((1, 1, 2, 3)))
        for symbol in held:
            supply(symbol, usd / len(held), account)
        limit = sum(usd / len(held) * ASSETS[symbol].ltv_bps / BPS for symbol in held)
        for symbol in owed:
            borrow(symbol, limit * random.uniform(0.93, 0.998) / len(owed), account)
    supplier.mine()
    owner.mine()


def _raw(prices: Mapping[str, int], symbol: str, usd: float) -> int:
    unit: int = 10 ** ASSETS[symbol].decimals
    return int(usd * 10**8) * unit // prices[symbol]


def _deploy_root(
    live: LiveMarket, artifacts: Mapping[str, Artifact], sender: Sender
) -> tuple[Contract, Contract]:
    provider = sender.deploy(artifacts["PoolAddressesProvider"], "3.6", sender.account)
    sender.call(provider, "setACLAdmin", sender.account)
    acl = sender.deploy(artifacts["ACLManager"], provider.address)
    sender.call(provider, "setACLManager", acl.address)
    for role in ("PoolAdmin", "EmergencyAdmin", "RiskAdmin", "AssetListingAdmin"):
        sender.call(acl, f"add{role}", sender.account)
    oracle = sender.deploy(
        artifacts["AaveOracle"],
        provider.address,
        [one.token for one in live.market.assets],
        [one.feed for one in live.market.assets],
        ZERO_ADDRESS,
        ZERO_ADDRESS,
        10**8,
    )
    sender.call(provider, "setPriceOracle", oracle.address)
    return provider, oracle


def _deploy_pool(
    live: LiveMarket, artifacts: Mapping[str, Artifact], sender: Sender, provider: Contract
) -> tuple[Contract, Contract]:
    libraries: dict[str, Address] = {}
    for name in LIBRARIES:
        libraries[name] = sender.deploy(artifacts[name], libraries=libraries).address
    rates = sender.deploy(artifacts["DefaultReserveInterestRateStrategyV2"], provider.address)
    pool = sender.deploy(
        artifacts["PoolInstance"], provider.address, rates.address, libraries=libraries
    )
    configurator = sender.deploy(artifacts["PoolConfiguratorInstance"], libraries=libraries)
    sender.call(provider, "setPoolImpl", pool.address)
    sender.call(provider, "setPoolConfiguratorImpl", configurator.address)
    sender.mine()
    where = [Address(read(live.rpc, provider, f"get{one}")) for one in ("Pool", "PoolConfigurator")]
    return replace(pool, address=where[0]), replace(configurator, address=where[1])


def _list_assets(
    live: LiveMarket,
    sender: Sender,
    configurator: Contract,
    implementations: tuple[Address, Address],
) -> None:
    rows = []
    for one in live.market.assets:
        curve = ASSETS[one.symbol].curve
        bps = (curve.optimal_bps, curve.base_bps, curve.slope1_bps, curve.slope2_bps)
        names = (f"a {one.symbol}", f"a{one.symbol}", f"debt {one.symbol}", f"d{one.symbol}")
        rows.append((*implementations, one.token, *names, b"", encode([_RATE_DATA], [bps])))
    sender.call(configurator, "initReserves", rows)
    for category in CATEGORIES.values():
        risk = (category.ltv_bps, category.threshold_bps, category.bonus_bps)
        sender.call(configurator, "setEModeCategory", category.number, *risk, category.label)
    for one in live.market.assets:
        spec = ASSETS[one.symbol]
        risk = (spec.ltv_bps, spec.threshold_bps, spec.bonus_bps)
        sender.call(configurator, "configureReserveAsCollateral", one.token, *risk)
        sender.call(configurator, "setReserveBorrowing", one.token, True)
        sender.call(configurator, "setReserveFactor", one.token, spec.reserve_factor_bps)
        fee = LIQUIDATION_PROTOCOL_FEE_BPS
        sender.call(configurator, "setLiquidationProtocolFee", one.token, fee)
        sender.call(configurator, "setReserveFlashLoaning", one.token, True)
        if spec.category:
            sender.call(configurator, "setAssetCollateralInEMode", one.token, spec.category, True)
            sender.call(configurator, "setAssetBorrowableInEMode", one.token, spec.category, True)
    sender.call(configurator, "updateFlashloanPremium", FLASH_PREMIUM_BPS)
