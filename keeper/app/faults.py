"""What a fault is, and what may be said of it: its own words may hold anything.

A fault is whatever nobody foresaw, and whatever an error of ours ended that nothing was to end.
"""

import traceback

from keeper.core.errors import InvariantError, KeeperError


def is_broken_promise(error: Exception) -> bool:
    """Return whether going on would be a guess: it ends the process, whatever it befell."""
    return any(isinstance(one, InvariantError) for one in _leaves(error))


def kind_of(error: Exception) -> str:
    """Return the names of the classes of an error, or of those that it groups."""
    return ", ".join(dict.fromkeys(type(one).__name__ for one in _leaves(error)))


def words_of(error: Exception) -> str:
    """Return what may be said: the words of what is ours, and where anything else came from."""
    return "; ".join(dict.fromkeys(_said(one) for one in _leaves(error)))


def unforeseen(error: Exception) -> Exception | None:
    """Return what nobody foresaw of an error, for the log to show whence it came."""
    others = [one for one in _leaves(error) if not isinstance(one, KeeperError)]
    return others[0] if others else None


def _leaves(error: Exception) -> list[Exception]:
    if isinstance(error, ExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]


def _said(error: Exception) -> str:
    if isinstance(error, KeeperError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "nowhere"
    return f"a fault of Keeper itself: {type(error).__name__} at {where}"
