"""Aave V3.6, deployed in the order of Aave's own procedure."""

from collections.abc import Mapping

from eth_abi.abi import encode

from keeper.core.units import ZERO_ADDRESS, Address
from keeper.devnet.aave import (
    Aave,
    configure_reserve,
    deploy_libraries,
    deploy_root,
    make_proxies,
)
from keeper.devnet.aave_v36_source import LIBRARIES
from keeper.devnet.assets import ASSETS, CATEGORIES, FLASH_PREMIUM_BPS
from keeper.devnet.contract import Artifact, Contract
from keeper.devnet.sender import Sender

_RATE_DATA = "(uint16,uint32,uint32,uint32)"


def deploy_aave_v36(
    sender: Sender,
    artifacts: Mapping[str, Artifact],
    sources: Mapping[str, tuple[Address, Address]],
    treasury: Address,
) -> Aave:
    """Deploy the protocol, without reserves; `sources` gives each symbol's token and feed proxy.

    Mines two blocks: the second needs the proxies that the first one's contracts make.
    """
    root = deploy_root(sender, artifacts, sources)
    provider = root.provider.address
    libraries = deploy_libraries(sender, artifacts, LIBRARIES)
    rates = sender.deploy(artifacts["DefaultReserveInterestRateStrategyV2"], provider)
    pool = sender.deploy(artifacts["Pool"], provider, rates.address, libraries=libraries)
    configurator = sender.deploy(artifacts["PoolConfigurator"], libraries=libraries)
    pool, configurator = make_proxies(sender, root.provider, pool, configurator)
    data_provider = sender.deploy(artifacts["AaveProtocolDataProvider"], provider)
    sender.call(root.provider, "setPoolDataProvider", data_provider.address)
    reckoner = sender.deploy(artifacts["LiquidationDataProvider"], pool.address, provider)
    return Aave(
        provider=root.provider,
        pool=pool,
        configurator=configurator,
        acl_manager=root.acl_manager,
        oracle=root.oracle,
        data_provider=data_provider,
        treasury=treasury,
        liquidation_data_provider=reckoner,
    )


def list_reserves_v36(
    sender: Sender,
    artifacts: Mapping[str, Artifact],
    aave: Aave,
    tokens: Mapping[str, Contract],
) -> None:
    """Queue listing every asset, with its risk parameters, eMode categories and flash premium."""
    pool = aave.pool.address
    a_token = sender.deploy(artifacts["AToken"], pool, ZERO_ADDRESS, aave.treasury)
    debt_token = sender.deploy(artifacts["VariableDebtToken"], pool, ZERO_ADDRESS)
    implementations = (a_token.address, debt_token.address)
    rows = [_reserve_input(symbol, tokens[symbol].address, implementations) for symbol in ASSETS]
    configurator = aave.configurator
    sender.call(configurator, "initReserves", rows)
    for category in CATEGORIES.values():
        risk = (category.ltv_bps, category.threshold_bps, category.bonus_bps)
        sender.call(configurator, "setEModeCategory", category.number, *risk, category.label)
    for symbol in ASSETS:
        _configure(sender, configurator, symbol, tokens[symbol].address)
    sender.call(configurator, "updateFlashloanPremium", FLASH_PREMIUM_BPS)


def _reserve_input(
    symbol: str, token: Address, implementations: tuple[Address, Address]
) -> tuple[object, ...]:
    curve = ASSETS[symbol].curve
    bps = (curve.optimal_bps, curve.base_bps, curve.slope1_bps, curve.slope2_bps)
    names = (
        *(f"Keeper local {symbol}", f"aLocal{symbol}"),
        *(f"Keeper local variable debt {symbol}", f"variableDebtLocal{symbol}"),
    )
    return (*implementations, token, *names, b"", encode([_RATE_DATA], [bps]))


def _configure(sender: Sender, configurator: Contract, symbol: str, token: Address) -> None:
    configure_reserve(sender, configurator, symbol, token)
    category = ASSETS[symbol].category
    if category:
        sender.call(configurator, "setAssetCollateralInEMode", token, category, True)
        sender.call(configurator, "setAssetBorrowableInEMode", token, category, True)
