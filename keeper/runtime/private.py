"""Files that nobody else on the machine may read: what is owed, held and earned is in them."""

import os
from typing import Final

PRIVATE_MODE: Final = 0o600


def privately(path: str, flags: int) -> int:
    """Open a file for ``open``; one that is not there is made, for its owner alone."""
    return os.open(path, flags | os.O_CREAT, PRIVATE_MODE)
