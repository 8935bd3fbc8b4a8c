"""What may go wrong between us and the nodes, and who is told."""

from collections.abc import Callable
from enum import Enum


class Trouble(Enum):
    """What may happen to a stream, or to a node, besides answering."""

    LOST = "lost"
    STALLED = "stalled"
    RESUMED = "resumed"
    LIMITED = "limited"
    UNFIT = "unfit"
    SWITCHED = "switched"
    EXCLUDED = "excluded"


Report = Callable[[Trouble, str], None]
"""Is told of trouble and of its end, with a message fit for a log."""


def quiet(_trouble: Trouble, _detail: str) -> None:
    """Report to nobody."""
