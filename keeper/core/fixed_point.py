"""Integer arithmetic of the mirrored contracts. The rounding is in each function's name.

Python's ``//`` floors toward minus infinity and never overflows; Solidity truncates toward zero
and reverts above 256 bits. Both differences are owned here, once.
"""

from keeper.core.errors import InvariantError
from keeper.core.units import BPS, MAX_UINT256, RAY, WAD

HALF_RAY = RAY // 2
HALF_BPS = BPS // 2


def mul_div_floor(a: int, b: int, c: int) -> int:
    """Return ``a*b/c`` rounded down, for non-negative operands."""
    return a * b // c


def mul_div_ceil(a: int, b: int, c: int) -> int:
    """Return ``a*b/c`` rounded up, for non-negative operands."""
    return -(-a * b // c)


def div_trunc(a: int, b: int) -> int:
    """Return ``a/b`` truncated toward zero: Solidity's signed ``/``."""
    quotient = abs(a) // abs(b)
    return quotient if (a >= 0) == (b >= 0) else -quotient


def ray_mul_half_up(a: int, b: int) -> int:
    """Mirror Aave ``WadRayMath.rayMul``."""
    return (a * b + HALF_RAY) // RAY


def ray_div_half_up(a: int, b: int) -> int:
    """Mirror Aave ``WadRayMath.rayDiv``."""
    return (a * RAY + b // 2) // b


def wad_div_half_up(a: int, b: int) -> int:
    """Mirror Aave ``WadRayMath.wadDiv``."""
    return (a * WAD + b // 2) // b


def percent_mul_half_up(value: int, bps: int) -> int:
    """Mirror Aave ``PercentageMath.percentMul``."""
    return (value * bps + HALF_BPS) // BPS


def percent_div_half_up(value: int, bps: int) -> int:
    """Mirror Aave ``PercentageMath.percentDiv``."""
    return (value * BPS + bps // 2) // bps


def require_uint256(value: int, what: str) -> int:
    """Return ``value`` if the EVM could hold it, else raise InvariantError naming ``what``."""
    if not 0 <= value <= MAX_UINT256:
        msg = f"{what}: expected a uint256, found {value}"
        raise InvariantError(msg)
    return value
