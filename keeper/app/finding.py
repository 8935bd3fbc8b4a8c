"""What a check of a configuration found."""

from msgspec import Struct


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was checked."""

    what: str
    good: bool
    detail: str
