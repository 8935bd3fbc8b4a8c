"""Text that is not ours, made fit to show: symbols from tokens, URLs that may hold a key."""

import unicodedata
from typing import Final
from urllib.parse import urlsplit

SHOWN_LENGTH: Final = 64
_REPLACED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: str | bytes, limit: int = SHOWN_LENGTH) -> str:
    """Return ``text`` cut to ``limit`` characters, bad bytes and control characters as ``?``.

    Terminal escapes, line breaks and characters that turn the writing direction are among what
    is replaced, so that a token's symbol cannot write its own log line.
    """
    # Bytes are cut before they are decoded: a symbol may be a megabyte.
    decoded = text[: 4 * limit].decode("utf-8", "replace") if isinstance(text, bytes) else text
    clean = "".join(
        "?" if unicodedata.category(one) in _REPLACED_CATEGORIES else one
        for one in decoded[: limit + 1]
    )
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def shown_url(url: str) -> str:
    """Return a URL's scheme, host and port: the path, query and user may hold a secret."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "<url>"
    return f"{parts.scheme}://{parts.hostname}{port}" if parts.hostname else "<url>"
