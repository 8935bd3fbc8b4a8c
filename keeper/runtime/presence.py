"""Whether a file is there, where "no" and "don't know" are two things."""

from pathlib import Path


def is_there(path: Path) -> bool:
    """Return whether a file is there. Raises OSError where the system does not tell.

    From Python 3.14 on ``Path.exists`` says no to that as well.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
