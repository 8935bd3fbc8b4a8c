"""Where sending may be torn: from the first signature to the last entry in the books."""

from types import TracebackType

from keeper.core.errors import KeeperError


class Seam:
    """Takes note of a fault of ours within it; what is refused or cannot be had is none."""

    def __init__(self) -> None:
        self.is_torn = False
        """Whether only the journal knows for sure what is out and which nonces are taken."""

    def __enter__(self) -> None:
        """Begin to look out."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take note of what it ends with, and let it pass."""
        if isinstance(error, Exception) and not isinstance(error, KeeperError):
            self.is_torn = True
