"""Exact amounts as short decimal text, for people."""

from typing import Final

from keeper.core.units import WAD

_PLACES: Final = 6
_SHORT_HEX: Final = 4


def coins_text(wei: int, places: int = _PLACES) -> str:
    """Return wei as whole coins, rounded down to ``places`` decimals."""
    return units_text(wei, WAD, places)


def units_text(raw: int, unit: int, places: int = _PLACES) -> str:
    """Return raw units as whole ones of ``unit``, rounded down (toward minus infinity)."""
    scaled = raw * 10**places // unit
    whole, fraction = divmod(abs(scaled), 10**places)
    sign = "-" if scaled < 0 else ""
    return f"{sign}{whole:,}.{fraction:0{places}d}" if places else f"{sign}{whole:,}"


def short_hex(text: str) -> str:
    """Return the two ends of an address or hash."""
    digits = text.removeprefix("0x")
    if len(digits) <= 2 * _SHORT_HEX:
        return text
    return f"0x{digits[:_SHORT_HEX]}…{digits[-_SHORT_HEX:]}"
