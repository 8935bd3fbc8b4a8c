"""Where accounts are in the columns: a sorted array, and a dictionary of what came since."""

import sys
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

_FEW: Final = 4_096
_SHARE: Final = 4
"""New names are sorted in when there are more than a few and a fourth of the sorted ones."""


class Places:
    """Names to places in 12 bytes each. It may answer with a place that was left since."""

    def __init__(self) -> None:
        """Know nobody."""
        self._starts: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._places: NDArray[np.int32] = np.zeros(0, np.int32)
        self._new: dict[bytes, int] = {}
        self._count = 0

    def __len__(self) -> int:
        """Return how many names were added and not removed."""
        return self._count

    def candidates(self, name: bytes) -> Iterator[int]:
        """Yield the places where a name may be: look there whether it is."""
        new = self._new.get(name)
        if new is not None:
            yield new
            return
        start = np.uint64(int.from_bytes(name[:8], "big"))
        at = int(self._starts.searchsorted(start))
        while at < len(self._starts) and self._starts[at] == start:
            yield int(self._places[at])
            at += 1

    @property
    def nbytes(self) -> int:
        """Return its size, about."""
        new = sys.getsizeof(self._new) + sum(map(sys.getsizeof, self._new))
        return self._starts.nbytes + self._places.nbytes + new

    @property
    def is_due(self) -> bool:
        """Return whether to ``rebuild``."""
        return len(self._new) > max(_FEW, len(self._starts) // _SHARE)

    def add(self, name: bytes, place: int) -> None:
        """Add a name that is not known."""
        self._new[name] = place
        self._count += 1

    def remove(self, name: bytes) -> None:
        """Forget a name that is known; its place must be left too."""
        self._new.pop(name, None)
        self._count -= 1

    def rebuild(self, starts: NDArray[np.uint64], places: NDArray[np.int32]) -> None:
        """Sort all names that are held: the first eight bytes of each, and its place."""
        self.restore(*in_order(starts, places))

    def restore(self, starts: NDArray[np.uint64], places: NDArray[np.int32]) -> None:
        """Take names that are ``in_order``."""
        self._starts, self._places = starts, places
        self._count = len(places)
        self._new = {}


def in_order(
    starts: NDArray[np.uint64], places: NDArray[np.int32]
) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """Return the starts of names in ascending order, each with its place."""
    order = np.argsort(starts)
    return starts[order], places[order]
