"""The arithmetic of Aave V3's Pool, in the contracts' own order and rounding.

Paths are those of `aave-v3-origin` (`src/contracts/`); 3.0.x keeps the same names under
`contracts/` of `aave-v3-core`. What changed between revisions is a function of its own here, and
``keeper.protocols.aave_v3.revision`` says which revision uses which.
"""

from keeper.core.fixed_point import (
    percent_mul_half_up,
    ray_div_half_up,
    ray_mul_half_up,
    wad_div_half_up,
)
from keeper.core.units import BPS, MAX_UINT256, RAY, WAD, YEAR

LIQUIDATION_THRESHOLD_HF = WAD
"""``HEALTH_FACTOR_LIQUIDATION_THRESHOLD``: below it, strictly, an account is liquidatable."""

CLOSE_FACTOR_HF = 95 * WAD // 100
"""``CLOSE_FACTOR_HF_THRESHOLD``; also the sentinel's ``MINIMUM_HEALTH_FACTOR_...``."""

DEFAULT_CLOSE_FACTOR_BPS = 5_000

MIN_BASE_MAX_CLOSE_FACTOR = 2_000 * 10**8
"""``MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD``, 3.3+: hard coded for a base unit of 1e8."""

MIN_LEFTOVER_BASE = MIN_BASE_MAX_CLOSE_FACTOR // 2

_WAD_TO_RAY = RAY // WAD


# --- interest: MathUtils.sol and ReserveLogic.sol ---------------------------------------------


def linear_interest(rate: int, seconds: int) -> int:
    """Mirror ``MathUtils.calculateLinearInterest``; ray."""
    return RAY + rate * seconds // YEAR


def compounded_interest_binomial(rate: int, seconds: int) -> int:
    """Mirror ``MathUtils.calculateCompoundedInterest`` up to 3.3; ray."""
    if seconds == 0:
        return RAY
    minus_one = seconds - 1
    minus_two = max(seconds - 2, 0)
    power_two = ray_mul_half_up(rate, rate) // (YEAR * YEAR)
    power_three = ray_mul_half_up(power_two, rate) // YEAR
    second = seconds * minus_one * power_two // 2
    third = seconds * minus_one * minus_two * power_three // 6
    return RAY + rate * seconds // YEAR + second + third


def compounded_interest_taylor(rate: int, seconds: int) -> int:
    """Mirror ``MathUtils.calculateCompoundedInterest`` since 3.4; ray."""
    x = rate * seconds // YEAR
    return RAY + x + ray_mul_half_up(x, x // 2 + ray_mul_half_up(x, x // 6))


# --- balances: ScaledBalanceTokenBase.sol up to 3.4, TokenMath.sol since 3.5 -------------------


def lifted_index(index: int, total: int, amount: int) -> int:
    """Mirror ``ReserveLogic.cumulateToLiquidityIndex``: ``amount`` is shared by ``total``."""
    share = ray_div_half_up(amount * _WAD_TO_RAY, total * _WAD_TO_RAY)
    return ray_mul_half_up(share + RAY, index)


def ray_mul_floor(scaled: int, index: int) -> int:
    """Mirror ``TokenMath.getATokenBalance``."""
    return scaled * index // RAY


def ray_mul_ceil(scaled: int, index: int) -> int:
    """Mirror ``TokenMath.getVTokenBalance``."""
    return -(-scaled * index // RAY)


def ray_div_floor(amount: int, index: int) -> int:
    """Mirror ``TokenMath.getVTokenBurnScaledAmount`` and ``getATokenMintScaledAmount``."""
    return amount * RAY // index


def ray_div_ceil(amount: int, index: int) -> int:
    """Mirror ``TokenMath.getATokenBurnScaledAmount`` and ``getATokenTransferScaledAmount``."""
    return -(-amount * RAY // index)


def value_floor(amount: int, price: int, unit: int) -> int:
    """Return an amount's value in base units, rounded down."""
    return amount * price // unit


# --- health: GenericLogic.calculateUserAccountData --------------------------------------------


def health_factor_average(collateral: int, weighted: int, debt: int) -> int:
    """Mirror the health factor up to 3.4: the average threshold is floored to whole bps.

    ``weighted`` is the sum of value times threshold in bps.
    """
    if debt == 0:
        return MAX_UINT256
    average = weighted // collateral if collateral else 0
    return wad_div_half_up(percent_mul_half_up(collateral, average), debt)


def health_factor_weighted(collateral: int, weighted: int, debt: int) -> int:
    """Mirror the health factor since 3.5: one division of the weighted sum."""
    del collateral
    return MAX_UINT256 if debt == 0 else wad_div_half_up(weighted, debt) // BPS


# --- percentages: PercentageMath.sol ----------------------------------------------------------


def percent_mul_floor(value: int, bps: int) -> int:
    """Mirror ``PercentageMath.percentMulFloor``."""
    return value * bps // BPS


def percent_mul_ceil(value: int, bps: int) -> int:
    """Mirror ``PercentageMath.percentMulCeil``."""
    return -(-value * bps // BPS)


def percent_div_floor(value: int, bps: int) -> int:
    """Mirror ``PercentageMath.percentDivFloor``."""
    return value * BPS // bps


def percent_div_ceil(value: int, bps: int) -> int:
    """Mirror ``PercentageMath.percentDivCeil``."""
    return -(-value * BPS // bps)


# --- how much debt one call may repay: LiquidationLogic ---------------------------------------


def max_repay_of_reserve(reserve_debt: int, health_factor: int) -> int:
    """Mirror ``LiquidationLogic._calculateDebt`` up to 3.2: half of that reserve's debt."""
    if health_factor > CLOSE_FACTOR_HF:
        return percent_mul_half_up(reserve_debt, DEFAULT_CLOSE_FACTOR_BPS)
    return reserve_debt


def max_repay_value_of_position(total_debt: int) -> int:
    """Return half of the whole position's debt, base units (``executeLiquidationCall``, 3.3+)."""
    return percent_mul_half_up(total_debt, DEFAULT_CLOSE_FACTOR_BPS)


def is_close_factor_reduced(collateral_value: int, debt_value: int, health_factor: int) -> bool:
    """Return whether only half of the position may be repaid (``executeLiquidationCall``, 3.3+)."""
    return (
        collateral_value >= MIN_BASE_MAX_CLOSE_FACTOR
        and debt_value >= MIN_BASE_MAX_CLOSE_FACTOR
        and health_factor > CLOSE_FACTOR_HF
    )
