"""Text made fit to show: symbols from tokens, URLs that may hold a key, reasons full of wei."""

import re
import unicodedata
from typing import Final
from urllib.parse import urlsplit

from keeper.core.units import WAD

SHOWN_LENGTH: Final = 64
_GWEI: Final = 10**9
_IN_WEI: Final = re.compile(
    r"(?<![\w.])(?P<amount>-?\d+)(?P<more> more)? wei\b"
    r"|(?<=[( ])(?P<item>proceeds|gas|tip) (?P<figure>-?\d+)(?=[,)])"
)
"""An amount of wei in a reason: by its unit, or by its name in a list of such."""
_URL: Final = re.compile(r"\b(?:https?|wss?)://[^\s'\"<>]*[^\s'\"<>.,:;!?()]", re.IGNORECASE)
"""Without the mark of a sentence behind it: ``http://host:8545:`` would be no URL at all."""
_REPLACED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: str | bytes, limit: int = SHOWN_LENGTH) -> str:
    """Return ``text`` cut to ``limit`` characters, bad bytes and control characters as ``?``.

    Terminal escapes, line breaks and characters that turn the writing direction are among what
    is replaced, so that a token's symbol cannot write its own log line.
    """
    # Bytes are cut before they are decoded: a symbol may be a megabyte.
    decoded = text[: 4 * limit].decode("utf-8", "replace") if isinstance(text, bytes) else text
    clean = decoded[: limit + 1]
    if not clean.isprintable():  # nearly all is, and a look at each character costs
        clean = "".join(map(_shown_character, clean))
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def _shown_character(one: str) -> str:
    return "?" if unicodedata.category(one) in _REPLACED_CATEGORIES else one


def decimal(value: int, scale: int, places: int) -> str:
    """Return ``value/scale`` cut to ``places`` digits after the point, with thousands marks."""
    sign = "-" if value < 0 else ""
    whole, rest = divmod(abs(value), scale)
    digits = f"{rest * 10**places // scale:0{places}d}" if places else ""
    return f"{sign}{whole:,}{'.' if places else ''}{digits}"


def shown_url(url: str) -> str:
    """Return a URL's scheme, host and port: the path, query and user may hold a secret."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "<url>"
    return f"{parts.scheme}://{parts.hostname}{port}" if parts.hostname else "<url>"


def with_shown_urls(text: str) -> str:
    """Return text with of each URL of a node what ``shown_url`` leaves."""
    return _URL.sub(lambda found: shown_url(found.group()), text) if "://" in text else text


def readable(reason: str) -> str:
    """Return a reason with its amounts of wei in ether or gwei, rounded down. Only to look at."""
    return _IN_WEI.sub(_in_a_fitting_unit, reason)


def _in_a_fitting_unit(found: re.Match[str]) -> str:
    if found["item"]:
        figure, unit = _fitting(int(found["figure"]))
        return f"{found['item']} {figure} {unit}" if int(found["figure"]) else found[0]
    figure, unit = _fitting(int(found["amount"]))
    return f"{figure}{found['more'] or ''} {unit}"


def _fitting(wei: int) -> tuple[str, str]:
    if abs(wei) < _GWEI // 1_000:
        return str(wei), "wei"
    scale, places, unit = (_GWEI, 3, "gwei") if abs(wei) < WAD // 10_000 else (WAD, 6, "ether")
    if wei % scale == 0:
        return f"{wei // scale:,}", unit
    rounded = wei * 10**places // scale
    whole, rest = divmod(abs(rounded), 10**places)
    return f"{'-' if rounded < 0 else ''}{whole:,}.{rest:0{places}d}", unit
