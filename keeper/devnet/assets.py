"""The assets of the local market: decimals, prices, risk parameters and rate curves."""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from keeper.core.units import BPS

RAY_BPS = 10**23
"""One basis point of a ray."""

ETH_CORRELATED = 1
STABLECOINS = 2


class RateCurve(Struct, frozen=True, kw_only=True):
    """A kinked interest curve, in basis points a year."""

    optimal_bps: int
    base_bps: int
    slope1_bps: int
    slope2_bps: int

    def ray_arguments(self) -> tuple[int, ...]:
        """Return the nine rays of `DefaultReserveInterestRateStrategy`, stable debt unused."""
        variable = (self.optimal_bps, self.base_bps, self.slope1_bps, self.slope2_bps)
        stable = (50, 6_000, 100, 800, 2_000)
        return tuple(bps * RAY_BPS for bps in (*variable, *stable))


class AssetSpec(Struct, frozen=True, kw_only=True):
    """What an asset is made with. Prices have 8 decimals; `opening_bps` is of the price.

    Positions are opened at the opening price, which then falls to `price`: so that health factors
    below what the loan-to-value limit allows come about as they do in life.
    """

    symbol: str
    name: str
    decimals: int
    price: int
    opening_bps: int
    ltv_bps: int
    threshold_bps: int
    bonus_bps: int
    reserve_factor_bps: int
    category: int
    curve: RateCurve


class CategorySpec(Struct, frozen=True, kw_only=True):
    """An eMode category."""

    number: int
    label: str
    ltv_bps: int
    threshold_bps: int
    bonus_bps: int


class PoolSpec(Struct, frozen=True, kw_only=True):
    """A Uniswap V3 pool: its pair, its fee in hundredths of a basis point, and its liquidity.

    Each rung is a width around the price, in basis points, and the dollars provided in it.
    """

    pair: tuple[str, str]
    fee: int
    rungs: tuple[tuple[int, int], ...]


_VOLATILE = RateCurve(optimal_bps=8_000, base_bps=0, slope1_bps=380, slope2_bps=8_000)
_BITCOIN = RateCurve(optimal_bps=4_500, base_bps=0, slope1_bps=400, slope2_bps=30_000)
_STABLE = RateCurve(optimal_bps=9_000, base_bps=0, slope1_bps=400, slope2_bps=6_000)

LIQUIDATION_PROTOCOL_FEE_BPS = 1_000
FLASH_PREMIUM_BPS = 5

ASSETS: Mapping[str, AssetSpec] = MappingProxyType(
    {
        spec.symbol: spec
        for spec in (
            AssetSpec(
                symbol="WETH",
                name="Wrapped Ether",
                decimals=18,
                price=3_000_00000000,
                opening_bps=11_000,
                ltv_bps=8_050,
                threshold_bps=8_300,
                bonus_bps=10_500,
                reserve_factor_bps=1_500,
                category=ETH_CORRELATED,
                curve=_VOLATILE,
            ),
            AssetSpec(
                symbol="DAI",
                name="Dai Stablecoin",
                decimals=18,
                price=1_00000000,
                opening_bps=10_000,
                ltv_bps=6_300,
                threshold_bps=7_700,
                bonus_bps=10_500,
                reserve_factor_bps=1_000,
                category=STABLECOINS,
                curve=_STABLE,
            ),
            AssetSpec(
                symbol="USDC",
                name="USD Coin",
                decimals=6,
                price=1_00000000,
                opening_bps=10_000,
                ltv_bps=7_500,
                threshold_bps=7_800,
                bonus_bps=10_450,
                reserve_factor_bps=1_000,
                category=STABLECOINS,
                curve=_STABLE,
            ),
            AssetSpec(
                symbol="WBTC",
                name="Wrapped BTC",
                decimals=8,
                price=90_000_00000000,
                opening_bps=11_200,
                ltv_bps=7_300,
                threshold_bps=7_800,
                bonus_bps=10_500,
                reserve_factor_bps=2_000,
                category=0,
                curve=_BITCOIN,
            ),
            AssetSpec(
                symbol="wstETH",
                name="Wrapped liquid staked Ether 2.0",
                decimals=18,
                price=3_660_00000000,
                opening_bps=11_000,
                ltv_bps=7_850,
                threshold_bps=8_100,
                bonus_bps=10_600,
                reserve_factor_bps=1_500,
                category=ETH_CORRELATED,
                curve=_BITCOIN,
            ),
            AssetSpec(
                symbol="USDT",
                name="Tether USD",
                decimals=6,
                price=1_00000000,
                opening_bps=10_000,
                ltv_bps=7_500,
                threshold_bps=7_800,
                bonus_bps=10_450,
                reserve_factor_bps=1_000,
                category=STABLECOINS,
                curve=_STABLE,
            ),
        )
    }
)

CATEGORIES: Mapping[int, CategorySpec] = MappingProxyType(
    {
        ETH_CORRELATED: CategorySpec(
            number=ETH_CORRELATED,
            label="ETH correlated",
            ltv_bps=9_300,
            threshold_bps=9_500,
            bonus_bps=10_100,
        ),
        STABLECOINS: CategorySpec(
            number=STABLECOINS,
            label="Stablecoins",
            ltv_bps=9_300,
            threshold_bps=9_500,
            bonus_bps=10_100,
        ),
    }
)

_DEEP = ((200, 3_000_000), (1_000, 8_000_000), (5_000, 30_000_000))
_THIN = ((300, 400_000), (1_500, 1_200_000), (5_000, 4_000_000))
_PEGGED = ((50, 4_000_000), (300, 6_000_000), (2_000, 15_000_000))


def opening_prices() -> dict[str, int]:
    """Return the prices that positions are opened at (8 decimals)."""
    return {symbol: spec.price * spec.opening_bps // BPS for symbol, spec in ASSETS.items()}


POOLS = (
    PoolSpec(pair=("WETH", "USDC"), fee=500, rungs=_DEEP),
    PoolSpec(pair=("WETH", "USDC"), fee=3_000, rungs=_THIN),
    PoolSpec(pair=("WETH", "USDT"), fee=500, rungs=_DEEP),
    PoolSpec(pair=("WETH", "DAI"), fee=3_000, rungs=_THIN),
    PoolSpec(pair=("WBTC", "WETH"), fee=500, rungs=_DEEP),
    PoolSpec(pair=("WBTC", "USDC"), fee=3_000, rungs=_THIN),
    PoolSpec(pair=("wstETH", "WETH"), fee=100, rungs=_PEGGED),
    PoolSpec(pair=("DAI", "USDC"), fee=100, rungs=_PEGGED),
    PoolSpec(pair=("USDC", "USDT"), fee=100, rungs=_PEGGED),
)
