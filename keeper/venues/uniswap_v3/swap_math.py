"""One step of a swap, within one price range. Mirrors v3-core 1.0.1 ``libraries/SwapMath.sol``.

``computeSwapStep`` is split by its sign: exact input and exact output. Both take the liquidity of
the range and the price not to be passed, and return the next price, the amount in with the fee,
and the amount out.
"""

from typing import Final

from keeper.venues.uniswap_v3.sqrt_price_math import (
    amount0_delta_ceil,
    amount0_delta_floor,
    amount1_delta_ceil,
    amount1_delta_floor,
    price_after_input,
    price_after_output,
)

FEE_UNIT: Final = 1_000_000
"""Pool fees are in hundredths of a basis point."""


def step_exact_in(
    price: int, target: int, liquidity: int, remaining: int, fee: int
) -> tuple[int, int, int]:
    """Return next price, amount in with fee, amount out. Mirrors ``computeSwapStep``."""
    zero_for_one = price >= target
    less_fee = remaining * (FEE_UNIT - fee) // FEE_UNIT
    to_target = _amount_in_ceil(price, target, liquidity, zero_for_one=zero_for_one)
    if less_fee >= to_target:
        out = _amount_out_floor(price, target, liquidity, zero_for_one=zero_for_one)
        return target, to_target + _fee_ceil(to_target, fee), out
    # Less than brings it there ends short of the target: what is left over is the fee.
    after = price_after_input(price, liquidity, less_fee, zero_for_one=zero_for_one)
    return after, remaining, _amount_out_floor(price, after, liquidity, zero_for_one=zero_for_one)


def step_exact_out(
    price: int, target: int, liquidity: int, remaining: int, fee: int
) -> tuple[int, int, int]:
    """Return next price, amount in with fee, amount out. Mirrors ``computeSwapStep``."""
    zero_for_one = price >= target
    to_target = _amount_out_floor(price, target, liquidity, zero_for_one=zero_for_one)
    if remaining >= to_target:
        spent = _amount_in_ceil(price, target, liquidity, zero_for_one=zero_for_one)
        return target, spent + _fee_ceil(spent, fee), to_target
    after = price_after_output(price, liquidity, remaining, zero_for_one=zero_for_one)
    spent = _amount_in_ceil(price, after, liquidity, zero_for_one=zero_for_one)
    out = _amount_out_floor(price, after, liquidity, zero_for_one=zero_for_one)
    return after, spent + _fee_ceil(spent, fee), min(out, remaining)


def _fee_ceil(amount_in: int, fee: int) -> int:
    return -(-amount_in * fee // (FEE_UNIT - fee))


def _amount_in_ceil(price: int, after: int, liquidity: int, *, zero_for_one: bool) -> int:
    if zero_for_one:
        return amount0_delta_ceil(after, price, liquidity)
    return amount1_delta_ceil(price, after, liquidity)


def _amount_out_floor(price: int, after: int, liquidity: int, *, zero_for_one: bool) -> int:
    if zero_for_one:
        return amount1_delta_floor(after, price, liquidity)
    return amount0_delta_floor(price, after, liquidity)
