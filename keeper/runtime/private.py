"""Files that nobody else on the machine may read: what is owed, held and earned is in them."""

import os
import stat
from pathlib import Path
from typing import Final

PRIVATE_MODE: Final = 0o600


def privately(path: str, flags: int) -> int:
    """Open a file for ``open``; one that is not there is made, for its owner alone."""
    return os.open(path, flags | os.O_CREAT, PRIVATE_MODE)


def exposure(path: Path) -> str | None:
    """Return what lets every user of the machine read a file, None when something keeps them out.

    A group that may read it was given that on purpose, and a folder that is closed keeps out
    whatever the file's own mode says. A file that is mounted by itself, as a container's secret
    is, has the mode of a place that is not seen from here. Raises OSError when it is not there.
    """
    real = path.resolve(strict=True)
    mode = stat.S_IMODE(real.stat().st_mode)
    ways = [stat.S_IMODE(one.stat().st_mode) for one in real.parents]
    if not mode & stat.S_IROTH or not all(one & stat.S_IXOTH for one in ways):
        return None
    if os.path.ismount(real):
        return None
    return (
        f"expected mode {PRIVATE_MODE:04o}, found {mode:04o}: every user of this machine reads it"
    )
