"""When Python looks for garbage: never by itself among what lives long.

Most of a keeper's objects live as long as it does. Looking through all of them again and again
would stop it for as long as a price event takes to be answered a hundred times over.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_YOUNG = 400
_MIDDLE = 1
"""Few enough objects at a time that looking through them takes well under a millisecond."""
_NEVER = 1_000_000_000


@contextmanager
def loading() -> Iterator[None]:
    """Search nothing while modules are loaded, and never what they are made of: it stays."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def keep_for_good() -> None:
    """Set everything there is apart, after a start; from now on only young objects are searched."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)


def let_go() -> None:
    """Have the next ``keep_for_good`` search what was set apart before: some of it is dropped."""
    gc.unfreeze()


def sweep() -> None:
    """Search what came since ``keep_for_good``, at a time when nothing waits."""
    gc.collect()
