"""A disk that is full at a size of one's choice, for every file of this process."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def disk_ends_at(size: int) -> Iterator[None]:
    """Let no file be written to past a size; Python ignores the signal that comes with it."""
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, kept[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
