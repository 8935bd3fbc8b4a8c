"""Keep secrets and foreign control characters out of every log line.

Three nets, because one is not enough: fields are hidden by name, text is searched for what looks
like a key, a signed transaction or a URL, and secrets that are known are searched for as such.
"""

import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Final

from keeper.core.text import printable, shown_url, with_shown_urls

HIDDEN: Final = "<hidden>"
TEXT_LIMIT: Final = 2_000
DEEPEST: Final = 6
"""Nesting beyond which a value is only named by its type."""

_SECRET_NAMES: Final = re.compile(
    r"(?:^|_)(?:(?:private|secret|signing|api)_?key|secret|password|passphrase|mnemonic|raw|"
    r"signature|authorization)(?:$|_)"
)
_HEX_RUN: Final = re.compile(
    r"(?:0x)?[0-9a-fA-F]{65,}|(?<![0-9a-fA-Fx])[0-9a-fA-F]{64}(?![0-9a-fA-F])"
)
"""More than a word of hex (a signed transaction), or a word without ``0x`` (a key as it is kept).

Hashes are a word with ``0x`` and stay readable.
"""
_OTHER_URL: Final = re.compile(
    r"(?<![a-z0-9+.-])(?!(?:https?|wss?)://)[a-z0-9+.-]++://\S+", re.IGNORECASE
)
"""Of a channel or a database: even its host may be a secret.

Looked for once in each run of such characters, from its begin: the text may be a node's, or a
contract's reason to revert, and as long as they like.
"""
_MANY_LINES: Final = frozenset({"exception", "stack"})
"""Fields that structlog fills with a traceback; elsewhere a line break would forge a line."""
_EXACT_IN_JSON: Final = 2**53
"""Readers of JSON round integers from here on."""
_SHORTEST_SECRET: Final = 8


Nested = (
    Mapping[object, object] | list[object] | tuple[object, ...] | set[object] | frozenset[object]
)


class Redactor:
    """A structlog processor. Make one with the secrets that are known, and put it last but one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Hide these texts wherever they occur, with ``0x`` and without, in any case."""
        forms = {form for secret in secrets for form in _forms(secret)}
        ordered = sorted(forms, key=len, reverse=True)
        pattern = "|".join(map(re.escape, ordered))
        self._known = re.compile(pattern, re.IGNORECASE) if ordered else None

    def __call__(
        self, logger: object, method: str, event: MutableMapping[str, object]
    ) -> MutableMapping[str, object]:
        """Return the event with its secrets hidden and its text made printable."""
        del logger, method
        return {name: self.field(name, value) for name, value in event.items()}

    def field(self, name: str, value: object, depth: int = 0) -> object:
        """Return one field's value fit to log."""
        if _SECRET_NAMES.search(name.lower()) and value is not None:
            return HIDDEN
        if name in _MANY_LINES and isinstance(value, str):
            return "\n".join(self.text(line) for line in value.split("\n"))
        return self._value(value, depth)

    def _value(self, value: object, depth: int) -> object:
        if isinstance(value, int | float | None) and abs(value or 0) < _EXACT_IN_JSON:
            return value
        if isinstance(value, bytes | bytearray):
            return f"<{len(value)} bytes>"
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            return self._nested(value, depth)
        return self.text(str(value))

    def _nested(self, value: Nested, depth: int) -> object:
        if depth >= DEEPEST:
            return f"<{type(value).__name__}>"
        if isinstance(value, Mapping):
            return {self.text(str(k)): self.field(str(k), v, depth + 1) for k, v in value.items()}
        return [self._value(item, depth + 1) for item in value]

    def text(self, text: str) -> str:
        """Return text without secrets, control characters and line breaks."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        text = with_shown_urls(text)
        text = _OTHER_URL.sub("<url>", text)
        text = _HEX_RUN.sub(HIDDEN, text)
        return printable(text, TEXT_LIMIT)


def _forms(secret: str) -> set[str]:
    """Return the spellings to look for. A short text, or a URL that is all host, is no secret."""
    whole = secret.strip()
    bare = whole.removeprefix("0x")
    if len(bare) < _SHORTEST_SECRET or shown_url(whole) == whole.rstrip("/"):
        return set()
    return {bare, whole}
