"""Amounts as people read them. Exact: digits are cut, never rounded through a float."""

from keeper.core.errors import ConfigError
from keeper.core.lending import BaseUnit, Health
from keeper.core.text import decimal
from keeper.core.units import MAX_UINT256, WAD


def priced(value: int, scale: int) -> str:
    """Return a price with four digits after the point, or eight where those would say little."""
    return decimal(value, scale, 4 if 100 * value >= scale or not value else 8)


def ether(wei: int, places: int = 6) -> str:
    """Return wei in the native coin."""
    return decimal(wei, WAD, places)


def verdict(standing: Health) -> str:
    """Return what the protocol says of an account.

    Under the line and not liquidatable is whoever this market, or contract, does not take: another
    one may.
    """
    if standing.liquidatable:
        return "liquidatable"
    return "healthy" if standing.health_factor >= WAD else "not liquidatable"


def health(value: int) -> str:
    """Return a health factor with four digits, cut so that 0.99999 never reads as 1."""
    return "∞" if value == MAX_UINT256 else decimal(value, WAD, 4)


def base(value: int, unit: BaseUnit) -> str:
    """Return a value in a market's base unit."""
    return f"{decimal(value, unit.scale, 2)} {unit.symbol}"


def share(part: int, whole: int) -> str:
    """Return a part in percent of the whole, cut to one digit after the point."""
    return "-" if whole == 0 else f"{decimal(part * 100, whole, 1)} %"


def parse_wad(text: str | None) -> int | None:
    """Return a decimal such as ``1.05`` as a wad, exactly; raise ConfigError."""
    return None if text is None else parse_decimal(text, WAD)


def parse_decimal(text: str, scale: int) -> int:
    """Return a decimal times a power of ten, exactly; raise ConfigError for what does not fit."""
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    whole, _, rest = digits.partition(".")
    places = len(str(scale)) - 1
    if not (whole + rest).isdecimal() or len(rest) > places:
        msg = f"expected a decimal number of at most {places} places, found {text!r}"
        raise ConfigError(msg)
    return sign * (int(whole or "0") * scale + int((rest or "0").ljust(places, "0")))
