"""Interest rate models: the borrow rate that Morpho is told, wad a second.

Mirrors ``morpho-blue-irm`` (``adaptive-curve-irm/AdaptiveCurveIrm.sol``, ``libraries/ExpLib.sol``,
``libraries/ConstantsLib.sol``, ``fixed-rate-irm/FixedRateIrm.sol``). Signed divisions truncate.
"""

from typing import Final, NamedTuple

from keeper.core.fixed_point import div_trunc
from keeper.core.units import WAD, YEAR

CURVE_STEEPNESS: Final = 4 * WAD
ADJUSTMENT_SPEED: Final = 50 * WAD // YEAR
TARGET_UTILIZATION: Final = 9 * 10**17
INITIAL_RATE_AT_TARGET: Final = 4 * 10**16 // YEAR
MIN_RATE_AT_TARGET: Final = 10**15 // YEAR
MAX_RATE_AT_TARGET: Final = 2 * WAD // YEAR

LN_2: Final = 693147180559945309
LN_WEI: Final = -41446531673892822312
WEXP_UPPER_BOUND: Final = 93859467695000404319
WEXP_UPPER_VALUE: Final = 57716089161558943949701069502944508345128422502756744429568


class AdaptiveRate(NamedTuple):
    """What ``AdaptiveCurveIrm`` answers for a market."""

    borrow_rate: int
    """Average over the time elapsed, wad a second."""
    rate_at_target: int
    """At the end of it; what the model stores."""


def w_mul_trunc(x: int, y: int) -> int:
    """Mirror ``MathLib.wMulToZero`` of the models: signed, toward zero."""
    return div_trunc(x * y, WAD)


def w_div_trunc(x: int, y: int) -> int:
    """Mirror ``MathLib.wDivToZero`` of the models: signed, toward zero."""
    return div_trunc(x * WAD, y)


def w_exp(x: int) -> int:
    """Mirror ``ExpLib.wExp``: an approximation of ``e^x`` by a second-order Taylor and a shift."""
    if x < LN_WEI:
        return 0
    if x >= WEXP_UPPER_BOUND:
        return WEXP_UPPER_VALUE
    rounding = LN_2 // 2 if x >= 0 else -(LN_2 // 2)
    power = div_trunc(x + rounding, LN_2)
    rest = x - power * LN_2
    base = WAD + rest + div_trunc(div_trunc(rest * rest, WAD), 2)
    return base << power if power >= 0 else base >> -power


def utilization_error(supply_assets: int, borrow_assets: int) -> int:
    """Return how far utilization is from its target, in shares of the way to the end, wad."""
    utilization = borrow_assets * WAD // supply_assets if supply_assets else 0
    above = utilization > TARGET_UTILIZATION
    norm = WAD - TARGET_UTILIZATION if above else TARGET_UTILIZATION
    return w_div_trunc(utilization - TARGET_UTILIZATION, norm)


def adaptive_rate(
    supply_assets: int, borrow_assets: int, *, rate_at_target: int, seconds: int
) -> AdaptiveRate:
    """Mirror ``AdaptiveCurveIrm._borrowRate`` on the totals before accrual.

    ``rate_at_target`` is the stored one, 0 before the first; ``seconds`` since the last accrual.
    """
    error = utilization_error(supply_assets, borrow_assets)
    if rate_at_target == 0:
        average = end = INITIAL_RATE_AT_TARGET
    else:
        adaptation = w_mul_trunc(ADJUSTMENT_SPEED, error) * seconds
        if adaptation == 0:
            average = end = rate_at_target
        else:
            end = _new_rate_at_target(rate_at_target, adaptation)
            middle = _new_rate_at_target(rate_at_target, div_trunc(adaptation, 2))
            average = (rate_at_target + end + 2 * middle) // 4
    return AdaptiveRate(_curve(average, error), end)


def _new_rate_at_target(start: int, adaptation: int) -> int:
    """Mirror ``AdaptiveCurveIrm._newRateAtTarget``."""
    return min(max(w_mul_trunc(start, w_exp(adaptation)), MIN_RATE_AT_TARGET), MAX_RATE_AT_TARGET)


def _curve(rate_at_target: int, error: int) -> int:
    """Mirror ``AdaptiveCurveIrm._curve``: a line on each side of the target."""
    below = error < 0
    steepness = WAD - w_div_trunc(WAD, CURVE_STEEPNESS) if below else CURVE_STEEPNESS - WAD
    return w_mul_trunc(w_mul_trunc(steepness, error) + WAD, rate_at_target)
