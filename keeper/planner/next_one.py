"""Who goes next of many that compete, when each that goes changes what the others find."""

import heapq
from collections.abc import Callable, Collection
from typing import Final

from keeper.core.lending import Rejection
from keeper.planner.offers import Chosen

_LOOKS: Final = 4
"""So many are planned anew to find who goes next. Among many alike, whose pools every plan moves,
the very best next one would take a look at all of them, each time."""


def first_of(
    queue: list[tuple[int, int]],
    look: Callable[[int], Chosen | Rejection],
    refused: list[Rejection],
) -> Chosen | None:
    """Take whoever goes next off the queue of what each brought before; None when nobody is left.

    Those that are refused now go with it.
    """
    fresh: dict[int, Chosen] = {}
    while queue and not _is_settled(fresh.values(), -queue[0][0]):
        _, index = heapq.heappop(queue)
        found = look(index)
        if isinstance(found, Rejection):
            refused.append(found)
        else:
            fresh[index] = found
    if not fresh:
        return None
    first = max(fresh, key=lambda index: (fresh[index].trade.net, -index))
    for index, one in fresh.items():
        if index != first:
            heapq.heappush(queue, (-one.trade.net, index))
    return fresh[first]


def _is_settled(fresh: Collection[Chosen], most: int) -> bool:
    """Return whether one of them goes first, where others brought at most so much before."""
    best = max((one.trade.net for one in fresh), default=None)
    return len(fresh) == _LOOKS or (best is not None and best >= most)
