"""Values: what one room hands to another, never changed once made.

They are ``msgspec.Struct``s. On the way from a price to a transaction hundreds are made: a frozen
dataclass takes 12 times as long to make as a struct, and 22 times to make again with a change.
"""

import dataclasses
from typing import Any, TypeVar

from msgspec import Struct, structs

T = TypeVar("T")


def same(one: Struct, other: object, *, but: int) -> bool:
    """Return whether two structs are of one type and equal in all fields but the last few."""
    if not isinstance(other, Struct) or type(one) is not type(other):
        return False
    return structs.astuple(one)[:-but] == structs.astuple(other)[:-but]


def replace(value: T, /, **changes: Any) -> T:  # noqa: ANN401 - of whatever fields it has
    """Return a value with some of its fields changed, be it a struct or a dataclass.

    Raises TypeError for a field that it does not have.
    """
    if isinstance(value, Struct):
        return structs.replace(value, **changes)
    return dataclasses.replace(value, **changes)  # type: ignore[type-var]  # mypy: T is either
