"""What may go wrong between us and the nodes, and who is told."""

from enum import Enum
from typing import Protocol


class Trouble(Enum):
    """What may happen to a stream, or to a node, besides answering."""

    LOST = "lost"
    STALLED = "stalled"
    RESUMED = "resumed"
    LIMITED = "limited"
    UNFIT = "unfit"
    SWITCHED = "switched"
    EXCLUDED = "excluded"
    GONE = "gone"
    """Of several nodes, one that could not be asked for long."""
    BACK = "back"
    """What was told as stalled or gone is over."""


class Report(Protocol):
    """Is told of trouble and of its end."""

    def __call__(self, trouble: Trouble, detail: str, node: str = "", /) -> None:
        """Take note; ``detail`` is fit for a log, ``node`` is whose trouble it is, if one's."""
        ...


def quiet(_trouble: Trouble, _detail: str, _node: str = "", /) -> None:
    """Report to nobody."""
