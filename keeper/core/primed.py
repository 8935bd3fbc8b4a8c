"""A request whose bytes are made and that has a place in line: what is left is to write them."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class Primed(Struct, Generic[T], frozen=True, kw_only=True):
    """Written once at most. It outlives its connection as something that cannot be written."""

    write: Callable[[], bool]
    """Write it before returning; False, with nothing written, where that cannot be any more."""
    touch: Callable[[], bool]
    """Go the way of ``write`` and write nothing: the way stays warm."""
    answer: Callable[[], Awaitable[T]]
    """Return what comes back; to be called before anything else runs after ``write``."""


def post(primed: Primed[T] | None) -> Awaitable[T] | None:
    """Write and return the answer to come; None, with nothing written, where that cannot be."""
    return primed.answer() if primed is not None and primed.write() else None
