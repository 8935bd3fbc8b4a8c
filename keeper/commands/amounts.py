"""Amounts as people read them. Exact: digits are cut, never rounded through a float."""

from keeper.core.lending import BaseUnit
from keeper.core.units import MAX_UINT256, WAD


def decimal(value: int, scale: int, places: int) -> str:
    """Return ``value/scale`` cut to ``places`` digits after the point, with thousands marks."""
    sign = "-" if value < 0 else ""
    whole, rest = divmod(abs(value), scale)
    digits = f"{rest * 10**places // scale:0{places}d}" if places else ""
    return f"{sign}{whole:,}{'.' if places else ''}{digits}"


def ether(wei: int, places: int = 6) -> str:
    """Return wei in the native coin."""
    return decimal(wei, WAD, places)


def health(value: int) -> str:
    """Return a health factor with four digits, cut so that 0.99999 never reads as 1."""
    return "∞" if value == MAX_UINT256 else decimal(value, WAD, 4)


def base(value: int, unit: BaseUnit) -> str:
    """Return a value in a market's base unit."""
    return f"{decimal(value, unit.scale, 2)} {unit.symbol}"
