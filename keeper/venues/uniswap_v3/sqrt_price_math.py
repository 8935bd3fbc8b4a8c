"""Amounts between prices. Mirrors v3-core 1.0.1 ``libraries/SqrtPriceMath.sol``.

Where the contract would revert (overflow, more than the range holds), InvariantError is raised:
the swap loop never asks for it.
"""

from typing import Final

from keeper.core.errors import InvariantError
from keeper.core.units import MAX_UINT256

Q96: Final = 1 << 96
_MAX_UINT160: Final = (1 << 160) - 1


def amount0_delta_floor(lower: int, upper: int, liquidity: int) -> int:
    """Return token0 between two ordered prices. Mirrors ``getAmount0Delta(…, false)``."""
    return (liquidity << 96) * (upper - lower) // upper // lower


def amount0_delta_ceil(lower: int, upper: int, liquidity: int) -> int:
    """Return token0 between two ordered prices. Mirrors ``getAmount0Delta(…, true)``."""
    return -(-(liquidity << 96) * (upper - lower) // upper // lower)


def amount1_delta_floor(lower: int, upper: int, liquidity: int) -> int:
    """Return token1 between two ordered prices. Mirrors ``getAmount1Delta(…, false)``."""
    return liquidity * (upper - lower) >> 96


def amount1_delta_ceil(lower: int, upper: int, liquidity: int) -> int:
    """Return token1 between two ordered prices. Mirrors ``getAmount1Delta(…, true)``."""
    return -(-liquidity * (upper - lower) >> 96)


def price_after_input(sqrt_price: int, liquidity: int, amount: int, *, zero_for_one: bool) -> int:
    """Return the price after an input. Mirrors ``getNextSqrtPriceFromInput``."""
    if zero_for_one:
        return _price_adding_amount0_ceil(sqrt_price, liquidity, amount)
    price = sqrt_price + (amount << 96) // liquidity
    return _require_uint160(price)


def price_after_output(sqrt_price: int, liquidity: int, amount: int, *, zero_for_one: bool) -> int:
    """Return the price after an output. Mirrors ``getNextSqrtPriceFromOutput``."""
    if not zero_for_one:
        return _price_removing_amount0_ceil(sqrt_price, liquidity, amount)
    fall = -(-(amount << 96) // liquidity)
    return _require_uint160(sqrt_price - fall)


def _price_adding_amount0_ceil(sqrt_price: int, liquidity: int, amount: int) -> int:
    """Mirror ``getNextSqrtPriceFromAmount0RoundingUp(…, add=true)``, its overflow branch too."""
    if amount == 0:
        return sqrt_price
    numerator = liquidity << 96
    product = amount * sqrt_price
    if product <= MAX_UINT256 and numerator + product <= MAX_UINT256:
        return -(-numerator * sqrt_price // (numerator + product))
    return -(-numerator // (numerator // sqrt_price + amount))


def _price_removing_amount0_ceil(sqrt_price: int, liquidity: int, amount: int) -> int:
    """Mirror ``getNextSqrtPriceFromAmount0RoundingUp(…, add=false)``."""
    if amount == 0:
        return sqrt_price
    numerator = liquidity << 96
    product = amount * sqrt_price
    if product > MAX_UINT256 or numerator <= product:
        msg = f"swap: expected less than the range holds of token0, found {amount}"
        raise InvariantError(msg)
    return _require_uint160(-(-numerator * sqrt_price // (numerator - product)))


def _require_uint160(price: int) -> int:
    if not 0 < price <= _MAX_UINT160:
        msg = f"square-root price: expected a positive uint160, found {price}"
        raise InvariantError(msg)
    return price
