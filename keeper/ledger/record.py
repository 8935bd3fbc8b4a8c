"""Domain values as JSON for the database: integers as decimal text, bytes as hex."""

import json
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

Plain = dict[str, "Plain"] | list["Plain"] | str | bool | None
"""What JSON holds here. It has no numbers: readers elsewhere would round them."""


_FIELDS: Final[dict[type, tuple[str, ...]]] = {}
"""Of the structs seen: a plan is recorded while its transaction waits."""


def to_plain(value: object) -> Plain:
    """Return a domain value as mappings, lists and text. Raises TypeError on other types."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return _nested(value)


def _nested(value: object) -> Plain:
    known = _FIELDS.get(type(value))
    if known is not None:
        return {name: to_plain(getattr(value, name)) for name in known}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, Struct):
        _FIELDS[type(value)] = value.__struct_fields__
        return _nested(value)
    msg = f"expected a domain value, found {type(value).__name__}"
    raise TypeError(msg)


def to_json(value: object) -> str:
    """Return a domain value as one line of JSON; equal values give equal text."""
    return json.dumps(to_plain(value), separators=(",", ":"), sort_keys=True)
