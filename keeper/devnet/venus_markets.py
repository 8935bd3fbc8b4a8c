"""Venus's markets for the assets of the local market: native coin too, and pools of accounts."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from keeper.core.units import BPS, MAX_UINT256, WAD, Address
from keeper.devnet.assets import ASSETS, CATEGORIES
from keeper.devnet.contract import Artifact, Contract
from keeper.devnet.market import LocalMarket
from keeper.devnet.sender import Sender
from keeper.devnet.tokens import WRAPPED_ETHER
from keeper.devnet.venus import NATIVE_ASSET, Core, Oracles, price_asset

NATIVE: Final = "ETH"
"""The market of native coin; WETH has one of its own beside it."""

TOKEN_PLACES: Final = 8
_RESERVE_FACTOR: Final = WAD // 10
_SHED_EVERY: Final = 28_800
"""Blocks between two payments of a market's reserves."""

_BLOCKS_PER_YEAR: Final = 2_628_000
_CURVE: Final = (0, WAD // 20, WAD, 8 * WAD // 10)
"""Base, slope, slope above the kink a year, and the kink."""


class MarketSpec(Struct, frozen=True, kw_only=True):
    """A market to make: its name, and the asset whose figures it takes."""

    name: str
    symbol: str

    @property
    def native(self) -> bool:
        """Whether the underlying is the native coin."""
        return self.name == NATIVE


MARKETS: Final = (
    MarketSpec(name=NATIVE, symbol=WRAPPED_ETHER),
    *(MarketSpec(name=symbol, symbol=symbol) for symbol in ASSETS),
)


def initial_rate(symbol: str) -> int:
    """Return the exchange rate at which an asset's first cTokens are made: one fiftieth."""
    rate: int = WAD // 50 * 10 ** ASSETS[symbol].decimals // 10**TOKEN_PLACES
    return rate


def deploy_markets(
    sender: Sender, artifacts: Mapping[str, Artifact], core: Core, market: LocalMarket
) -> dict[str, Contract]:
    """Queue every market's contract, by the market's name."""
    model = sender.deploy(artifacts["JumpRateModel"], *_CURVE, _BLOCKS_PER_YEAR)
    made: dict[str, Contract] = {}
    for spec in MARKETS:
        shared = (
            core.comptroller.address,
            model.address,
            initial_rate(spec.symbol),
            f"Venus {spec.name}",
            f"v{spec.name}",
            TOKEN_PLACES,
            sender.account,
        )
        if spec.native:
            made[spec.name] = sender.deploy(artifacts["VBNB"], *shared)
        else:
            token = market.asset(spec.symbol).token
            made[spec.name] = sender.deploy(artifacts["VBep20Immutable"], token, *shared)
    return made


def list_markets(
    sender: Sender,
    core: Core,
    oracles: Oracles,
    tokens: Mapping[str, Contract],
    market: LocalMarket,
) -> None:
    """Queue pricing, listing and the risk parameters of every market, and the pools."""
    comptroller = core.comptroller
    for spec in MARKETS:
        asset, token = market.asset(spec.symbol), tokens[spec.name]
        price_asset(sender, oracles, NATIVE_ASSET if spec.native else asset.token, asset.feed)
        sender.call(comptroller, "_supportMarket(address)", token.address)
        _set_risk(sender, core, spec, token.address)
        sender.call(token, "setAccessControlManager", core.access.address)
        sender.call(token, "setProtocolShareReserve", core.reserve)
        sender.call(token, "setReduceReservesBlockDelta", _SHED_EVERY)
        sender.call(token, "_setReserveFactor", _RESERVE_FACTOR)
    places = [token.address for token in tokens.values()]
    unlimited = [MAX_UINT256] * len(places)
    sender.call(comptroller, "_setMarketSupplyCaps", places, unlimited)
    sender.call(comptroller, "_setMarketBorrowCaps", places, unlimited)
    _open_pools(sender, core, tokens)


def _set_risk(sender: Sender, core: Core, spec: MarketSpec, token: Address) -> None:
    asset = ASSETS[spec.symbol]
    incentive = "setLiquidationIncentive(address,uint256)"
    sender.call(core.comptroller, incentive, token, _wad(asset.bonus_bps))
    factor = "setCollateralFactor(address,uint256,uint256)"
    factors = (_wad(asset.ltv_bps), _wad(asset.threshold_bps))
    sender.call(core.comptroller, factor, token, *factors)
    sender.call(core.comptroller, "setIsBorrowAllowed", 0, token, True)


def _open_pools(sender: Sender, core: Core, tokens: Mapping[str, Contract]) -> None:
    """Queue a pool for each efficiency mode of the local market, by the same number."""
    comptroller = core.comptroller
    for category in CATEGORIES.values():
        number = category.number
        sender.call(comptroller, "createPool", category.label)
        inside = [
            tokens[spec.name].address for spec in MARKETS if ASSETS[spec.symbol].category == number
        ]
        sender.call(comptroller, "addPoolMarkets", [number] * len(inside), inside)
        factors = (_wad(category.ltv_bps), _wad(category.threshold_bps))
        for token in inside:
            incentive = "setLiquidationIncentive(uint96,address,uint256)"
            sender.call(comptroller, incentive, number, token, _wad(category.bonus_bps))
            factor = "setCollateralFactor(uint96,address,uint256,uint256)"
            sender.call(comptroller, factor, number, token, *factors)
            sender.call(comptroller, "setIsBorrowAllowed", number, token, True)
        sender.call(comptroller, "setAllowCorePoolFallback", number, True)


def _wad(bps: int) -> int:
    return bps * WAD // BPS
