"""Python's own bound of recursion, whatever the libraries of other tests made of it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_USUAL = 1_000


@contextmanager
def usual_recursion() -> Iterator[None]:
    """Bound recursion as Python does from its start: above that a deep text fills the stack."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(_USUAL)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
