"""Venus's isolated pools, deployed from their published artifacts as their own scripts would."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from keeper.core.units import BPS, MAX_UINT256, WAD, ZERO_ADDRESS, Address
from keeper.devnet.assets import ASSETS
from keeper.devnet.contract import Artifact, Contract, load_artifact
from keeper.devnet.live import LiveMarket
from keeper.devnet.oversized import place
from keeper.devnet.rpc import Rpc
from keeper.devnet.sender import Sender
from keeper.devnet.tokens import fund
from keeper.devnet.venus import Oracles, deploy_reserve, deploy_resilient, price_asset, proxied

PACKAGE: Final = "venus-isolated-pools"

CLOSE_FACTOR: Final = WAD // 2
LEAST_COLLATERAL: Final = 100 * WAD
"""Dollars, as on BNB Chain."""
TOKEN_PLACES: Final = 8

_CONTRACTS: Final = (
    "contracts/Comptroller",
    "contracts/JumpRateModelV2",
    "contracts/Pool/PoolRegistry",
    "contracts/VToken",
    "@openzeppelin/contracts/proxy/beacon/BeaconProxy",
    "@openzeppelin/contracts/proxy/beacon/UpgradeableBeacon",
    "@venusprotocol/governance-contracts/contracts/Governance/AccessControlManager",
)
_COMPTROLLER_BODY: Final = Address("0x" + "15" * 20)
"""Where the Comptroller's code is put."""
_LOOPS: Final = 100
_CURVE: Final = (0, WAD // 20, WAD, 8 * WAD // 10)
"""Base, slope, slope above the kink a year, and the kink."""
_BLOCKS_PER_YEAR: Final = 2_628_000
_MOST_A_BLOCK: Final = WAD // 2_000_000
_RESERVE_FACTOR: Final = WAD // 10
_SHED_EVERY: Final = 28_800
_FIRST_SUPPLY_USD: Final = 1_000
_USD: Final = 10**8
_GOVERNED: Final = (
    "addPool(string,address,uint256,uint256,uint256)",
    "addMarket(AddMarketInput)",
    "setActionsPaused(address[],uint256[],bool)",
    "setCloseFactor(uint256)",
    "setCollateralFactor(address,uint256,uint256)",
    "setForcedLiquidation(address,bool)",
    "setLiquidationIncentive(uint256)",
    "setMarketBorrowCaps(address[],uint256[])",
    "setMarketSupplyCaps(address[],uint256[])",
    "setMinLiquidatableCollateral(uint256)",
    "setProtocolSeizeShare(uint256)",
    "setReduceReservesBlockDelta(uint256)",
    "unlistMarket(address)",
    "updateJumpRateModel(uint256,uint256,uint256,uint256)",
)

Artifacts = Mapping[str, Artifact]


class PoolSpec(Struct, frozen=True, kw_only=True):
    """A pool to make: its name, its assets, and its incentive in basis points."""

    name: str
    assets: tuple[str, ...]
    incentive_bps: int


POOLS: Final = (
    PoolSpec(name="Main", assets=("WETH", "WBTC", "USDC", "USDT", "DAI"), incentive_bps=11_000),
    PoolSpec(name="Staked", assets=("wstETH", "WETH"), incentive_bps=10_500),
)


class MadePool(Struct, frozen=True, kw_only=True):
    """A pool that is there."""

    spec: PoolSpec
    comptroller: Contract
    markets: Mapping[str, Contract]


def isolated_artifacts(folders: Mapping[str, Path]) -> dict[str, Artifact]:
    """Return the artifacts by contract name, given the packages' folders."""
    folder = folders[PACKAGE] / "artifacts"
    names = {one: one.rpartition("/")[2] for one in _CONTRACTS}
    return {n: load_artifact(folder / f"{where}.sol" / f"{n}.json") for where, n in names.items()}


class Works(Struct, frozen=True, kw_only=True):
    """What pools are made with."""

    rpc: Rpc
    sender: Sender
    artifacts: Artifacts
    """Of both of Venus's packages."""
    by_second: bool

    def clock(self) -> tuple[bool, int]:
        """Return what contracts are told of time: blocks in a year where they count those."""
        return (True, 0) if self.by_second else (False, _BLOCKS_PER_YEAR)


class Registry(Struct, frozen=True, kw_only=True):
    """What the pools share."""

    registry: Contract
    access: Contract
    oracles: Oracles
    reserve: Address
    comptrollers: Contract
    """Beacon of the Comptrollers."""
    markets: Contract
    """Beacon of the vTokens."""
    rate_model: Contract


def deploy_registry(works: Works) -> Registry:
    """Deploy what pools share; governance is the sender's."""
    sender, artifacts = works.sender, works.artifacts
    access = sender.deploy(artifacts["AccessControlManager"])
    registry = proxied(sender, artifacts, access, artifacts["PoolRegistry"])
    for who in (sender.account, registry.address):
        for function in _GOVERNED:
            sender.call(access, "giveCallPermission", ZERO_ADDRESS, function, who)
    mock = sender.deploy(artifacts["AccessControlManagerMock"], sender.account)
    reserve = deploy_reserve(sender)
    oracles = deploy_resilient(sender, artifacts, mock, (reserve, access.address))
    body = place(works.rpc, artifacts["Comptroller"], (registry.address,), _COMPTROLLER_BODY)
    comptrollers = sender.deploy(artifacts["UpgradeableBeacon"], body.address)
    token = sender.deploy(artifacts["VToken"], *works.clock(), _MOST_A_BLOCK)
    markets = sender.deploy(artifacts["UpgradeableBeacon"], token.address)
    model = (*_CURVE, access.address, *works.clock())
    return Registry(
        registry=registry,
        access=access,
        oracles=oracles,
        reserve=reserve,
        comptrollers=comptrollers,
        markets=markets,
        rate_model=sender.deploy(artifacts["JumpRateModelV2"], *model),
    )


def price_assets(works: Works, shared: Registry, live: LiveMarket, names: Iterable[str]) -> None:
    """Queue that each asset's price is its Chainlink feed's."""
    for name in names:
        asset = live.market.asset(name)
        price_asset(works.sender, shared.oracles, asset.token, asset.feed)


def open_pool(works: Works, shared: Registry, live: LiveMarket, spec: PoolSpec) -> MadePool:
    """Queue a pool with its markets, each with its first supply."""
    sender, artifact = works.sender, works.artifacts["Comptroller"]
    start = artifact.encode("initialize", (_LOOPS, shared.access.address))
    made = sender.deploy(works.artifacts["BeaconProxy"], shared.comptrollers.address, start)
    comptroller = Contract(artifact=artifact, address=made.address)
    sender.call(comptroller, "setPriceOracle", shared.oracles.resilient.address)
    terms = (CLOSE_FACTOR, _wad(spec.incentive_bps), LEAST_COLLATERAL)
    sender.call(shared.registry, "addPool", spec.name, comptroller.address, *terms)
    markets = {name: add_market(works, shared, live, comptroller, name) for name in spec.assets}
    return MadePool(spec=spec, comptroller=comptroller, markets=markets)


def add_market(
    works: Works, shared: Registry, live: LiveMarket, comptroller: Contract, name: str
) -> Contract:
    """Queue a market of a pool, with its first supply."""
    market = _deploy_market(works, shared, live, comptroller, name)
    _list_market(works, shared, live, name, market)
    return market


def _deploy_market(
    works: Works, shared: Registry, live: LiveMarket, comptroller: Contract, name: str
) -> Contract:
    artifact = works.artifacts["VToken"]
    initial = WAD // 50 * 10 ** ASSETS[name].decimals // 10**TOKEN_PLACES
    start = artifact.encode(
        "initialize",
        (
            *(live.tokens[name].address, comptroller.address, shared.rate_model.address, initial),
            *(f"Venus {name}", f"v{name}", TOKEN_PLACES, works.sender.account),
            *(shared.access.address, (shared.reserve, shared.reserve), _RESERVE_FACTOR),
        ),
    )
    made = works.sender.deploy(works.artifacts["BeaconProxy"], shared.markets.address, start)
    return Contract(artifact=artifact, address=made.address)


def _list_market(
    works: Works, shared: Registry, live: LiveMarket, name: str, market: Contract
) -> None:
    sender, spec, token = works.sender, ASSETS[name], live.tokens[name]
    first = _FIRST_SUPPLY_USD * _USD * 10**spec.decimals // spec.price
    fund(sender, live.tokens, sender.account, {name: first})
    sender.call(token, "approve", shared.registry.address, first)
    factors = (_wad(spec.ltv_bps), _wad(spec.threshold_bps))
    caps = (MAX_UINT256, MAX_UINT256)
    entry = (market.address, *factors, first, sender.account, *caps)
    sender.call(shared.registry, "addMarket", entry)
    sender.call(market, "setReduceReservesBlockDelta", _SHED_EVERY)


def _wad(bps: int) -> int:
    return bps * WAD // BPS
