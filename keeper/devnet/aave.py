"""Aave V3.0, deployed from its published artifacts in the order of Aave's own scripts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from keeper.core.units import ZERO_ADDRESS, Address
from keeper.devnet.assets import (
    ASSETS,
    CATEGORIES,
    FLASH_PREMIUM_BPS,
    LIQUIDATION_PROTOCOL_FEE_BPS,
)
from keeper.devnet.contract import Artifact, Contract, load_artifact
from keeper.devnet.rpc import Rpc
from keeper.devnet.sender import Sender, read, read_all

MARKET_ID = "Keeper local market"

_ORACLE_UNIT = 10**8
_PLACES = {
    "protocol/libraries/logic": (
        "SupplyLogic",
        "BorrowLogic",
        "LiquidationLogic",
        "EModeLogic",
        "BridgeLogic",
        "PoolLogic",
        "ConfiguratorLogic",
        "FlashLoanLogic",
    ),
    "protocol/configuration": ("PoolAddressesProvider", "ACLManager", "PriceOracleSentinel"),
    "protocol/pool": ("Pool", "PoolConfigurator", "DefaultReserveInterestRateStrategy"),
    "protocol/tokenization": ("AToken", "StableDebtToken", "VariableDebtToken"),
    "misc": ("AaveOracle", "AaveProtocolDataProvider"),
}


class ReserveTokens(Struct, frozen=True, kw_only=True):
    """The tokens Aave made for one asset; stable debt is the zero address where there is none."""

    a_token: Address
    stable_debt_token: Address
    variable_debt_token: Address


class Root(Struct, frozen=True, kw_only=True):
    """What every release is deployed behind."""

    provider: Contract
    acl_manager: Contract
    oracle: Contract


class Aave(Struct, frozen=True, kw_only=True):
    """A deployed market; pool and configurator are the proxies."""

    provider: Contract
    pool: Contract
    configurator: Contract
    acl_manager: Contract
    oracle: Contract
    data_provider: Contract
    treasury: Address
    liquidation_data_provider: Contract | None = None
    """Aave's own reckoning of liquidations, where the release has one."""


def aave_artifacts(package: Path) -> dict[str, Artifact]:
    """Return the artifacts a market is deployed from and talked to with, by contract name."""
    contracts = package / "artifacts" / "contracts"
    return {
        name: load_artifact(contracts / place / f"{name}.sol" / f"{name}.json")
        for place, names in _PLACES.items()
        for name in names
    }


def deploy_aave(
    sender: Sender,
    artifacts: Mapping[str, Artifact],
    sources: Mapping[str, tuple[Address, Address]],
    treasury: Address,
) -> Aave:
    """Deploy the protocol, without reserves; `sources` gives each symbol's token and feed proxy.

    Mines two blocks: the second needs the proxies that the first one's contracts make.
    """
    root = deploy_root(sender, artifacts, sources)
    provider = root.provider
    data_provider = sender.deploy(artifacts["AaveProtocolDataProvider"], provider.address)
    sender.call(provider, "setPoolDataProvider", data_provider.address)
    libraries = deploy_libraries(sender, artifacts, _PLACES["protocol/libraries/logic"])
    pool = sender.deploy(artifacts["Pool"], provider.address, libraries=libraries)
    configurator = sender.deploy(artifacts["PoolConfigurator"], libraries=libraries)
    pool, configurator = make_proxies(sender, provider, pool, configurator)
    return Aave(
        provider=provider,
        pool=pool,
        configurator=configurator,
        acl_manager=root.acl_manager,
        oracle=root.oracle,
        data_provider=data_provider,
        treasury=treasury,
    )


def deploy_root(
    sender: Sender,
    artifacts: Mapping[str, Artifact],
    sources: Mapping[str, tuple[Address, Address]],
) -> Root:
    """Queue what every release begins with: provider, roles of the sender, price oracle."""
    provider = sender.deploy(artifacts["PoolAddressesProvider"], MARKET_ID, sender.account)
    sender.call(provider, "setACLAdmin", sender.account)
    acl = sender.deploy(artifacts["ACLManager"], provider.address)
    sender.call(provider, "setACLManager", acl.address)
    for role in ("PoolAdmin", "EmergencyAdmin", "RiskAdmin", "AssetListingAdmin"):
        sender.call(acl, f"add{role}", sender.account)
    oracle = sender.deploy(
        artifacts["AaveOracle"],
        provider.address,
        [token for token, _ in sources.values()],
        [feed for _, feed in sources.values()],
        ZERO_ADDRESS,
        ZERO_ADDRESS,
        _ORACLE_UNIT,
    )
    sender.call(provider, "setPriceOracle", oracle.address)
    return Root(provider=provider, acl_manager=acl, oracle=oracle)


def deploy_libraries(
    sender: Sender, artifacts: Mapping[str, Artifact], names: Sequence[str]
) -> dict[str, Address]:
    """Queue the libraries, each linked to those before it."""
    libraries: dict[str, Address] = {}
    for name in names:
        libraries[name] = sender.deploy(artifacts[name], libraries=libraries).address
    return libraries


def make_proxies(
    sender: Sender, provider: Contract, pool: Contract, configurator: Contract
) -> tuple[Contract, Contract]:
    """Mine a block in which the provider makes the proxies; return pool and configurator."""
    sender.call(provider, "setPoolImpl", pool.address)
    sender.call(provider, "setPoolConfiguratorImpl", configurator.address)
    sender.mine()
    proxies = [
        Contract(artifact=made.artifact, address=Address(read(sender.rpc, provider, getter)))
        for made, getter in ((pool, "getPool"), (configurator, "getPoolConfigurator"))
    ]
    return proxies[0], proxies[1]


def list_reserves(
    sender: Sender,
    artifacts: Mapping[str, Artifact],
    aave: Aave,
    tokens: Mapping[str, Contract],
) -> None:
    """Queue listing every asset, with its risk parameters, eMode categories and flash premium."""
    implementations = tuple(
        sender.deploy(artifacts[name], aave.pool.address).address
        for name in ("AToken", "StableDebtToken", "VariableDebtToken")
    )
    rows = [
        _reserve_input(sender, artifacts, aave, symbol, tokens[symbol].address, implementations)
        for symbol in ASSETS
    ]
    sender.call(aave.configurator, "initReserves", rows)
    for category in CATEGORIES.values():
        sender.call(
            aave.configurator,
            "setEModeCategory",
            category.number,
            category.ltv_bps,
            category.threshold_bps,
            category.bonus_bps,
            ZERO_ADDRESS,
            category.label,
        )
    for symbol in ASSETS:
        _configure(sender, aave.configurator, symbol, tokens[symbol].address)
    sender.call(aave.configurator, "updateFlashloanPremiumTotal", FLASH_PREMIUM_BPS)


def reserve_tokens(
    rpc: Rpc, data_provider: Contract, tokens: Mapping[str, Contract]
) -> dict[str, ReserveTokens]:
    """Return the tokens Aave made for each asset."""
    answers = read_all(
        rpc,
        [(data_provider, "getReserveTokensAddresses", (t.address,)) for t in tokens.values()],
    )
    return {
        symbol: ReserveTokens(
            a_token=Address(a_token),
            stable_debt_token=Address(stable),
            variable_debt_token=Address(variable),
        )
        for symbol, (a_token, stable, variable) in zip(tokens, answers, strict=True)
    }


def _reserve_input(
    sender: Sender,
    artifacts: Mapping[str, Artifact],
    aave: Aave,
    symbol: str,
    token: Address,
    implementations: tuple[Address, ...],
) -> tuple[object, ...]:
    spec = ASSETS[symbol]
    strategy = sender.deploy(
        artifacts["DefaultReserveInterestRateStrategy"],
        aave.provider.address,
        *spec.curve.ray_arguments(),
    )
    names = (
        *(f"Keeper local {symbol}", f"aLocal{symbol}"),
        *(f"Keeper local variable debt {symbol}", f"variableDebtLocal{symbol}"),
        *(f"Keeper local stable debt {symbol}", f"stableDebtLocal{symbol}"),
    )
    return (
        *implementations,
        spec.decimals,
        strategy.address,
        token,
        aave.treasury,
        ZERO_ADDRESS,
        *names,
        b"",
    )


def _configure(sender: Sender, configurator: Contract, symbol: str, token: Address) -> None:
    configure_reserve(sender, configurator, symbol, token)
    category = ASSETS[symbol].category
    if category:
        sender.call(configurator, "setAssetEModeCategory", token, category)


def configure_reserve(sender: Sender, configurator: Contract, symbol: str, token: Address) -> None:
    """Queue the settings of an asset that have the same form in every release."""
    spec = ASSETS[symbol]
    risk = (spec.ltv_bps, spec.threshold_bps, spec.bonus_bps)
    sender.call(configurator, "configureReserveAsCollateral", token, *risk)
    sender.call(configurator, "setReserveBorrowing", token, True)
    sender.call(configurator, "setReserveFactor", token, spec.reserve_factor_bps)
    sender.call(configurator, "setLiquidationProtocolFee", token, LIQUIDATION_PROTOCOL_FEE_BPS)
    sender.call(configurator, "setReserveFlashLoaning", token, True)
