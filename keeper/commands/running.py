"""Run a coroutine as a command: signals stop it, errors become one line and an exit code."""

import asyncio
import os
import signal
import traceback
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import structlog
import uvloop

from keeper.commands.console import finish_stderr, say
from keeper.core.errors import ConfigError, InvariantError, KeeperError

T = TypeVar("T")

log = structlog.get_logger()

COMMAND_BROKEN = "command.broken"

FAILED = 1
MISCONFIGURED = 2
INTERRUPTED = 128 + signal.SIGINT
"""As a shell reports it."""
BROKEN = 70
"""As in sysexits.h: an internal promise did not hold."""


class CommandFailed(Exception):  # noqa: N818 - it ends a command, it is not an error of its own
    """The command ends with this exit code; what there was to say has been said."""

    def __init__(self, code: int) -> None:
        """End with ``code``."""
        super().__init__(code)
        self.code = code


def run_command(work: Callable[[], Coroutine[None, None, T]]) -> T:
    """Run a command's coroutine on uvloop; raise CommandFailed after saying what is wrong.

    A reader that has seen enough is nothing wrong: its BrokenPipeError is the caller's.
    """
    try:
        return uvloop.run(work())
    except BrokenPipeError:
        raise
    except KeeperError as error:
        raise _failed([error]) from error
    except ExceptionGroup as group:
        raise _of_group(group) from group
    except Exception as error:  # the last resort: whatever it is, it is a fault of ours
        raise _broken([error]) from error


def run_verdict(work: Callable[[], Coroutine[None, None, bool]]) -> None:
    """Run a command that tells whether all was well; raise CommandFailed when it was not."""
    if not run_command(work):
        raise CommandFailed(FAILED)


@contextmanager
def plainly() -> Iterator[None]:
    """Turn the errors of a block into lines and an exit code."""
    try:
        yield
    except (CommandFailed, BrokenPipeError):
        raise
    except KeeperError as error:
        raise _failed([error]) from error
    except ExceptionGroup as group:
        raise _of_group(group) from group
    except Exception as error:  # the last resort, as above
        raise _broken([error]) from error


def _of_group(group: ExceptionGroup[Exception]) -> CommandFailed:
    """Say what is wrong of several errors at once; a fault of ours is the gravest."""
    leaves = list(_leaves(group))
    others = [one for one in leaves if not isinstance(one, KeeperError)]
    if others:
        return _broken(others)
    return _failed([one for one in leaves if isinstance(one, KeeperError)])


def _broken(errors: Sequence[Exception]) -> CommandFailed:
    """Say what kind of fault of ours it is and where; the log, which hides secrets, has the rest.

    The error's own words may hold anything, so that they are not said.
    """
    for error in errors:
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "nowhere"
        say(f"error: a fault of Keeper itself: {type(error).__name__} at {where}")
        if structlog.is_configured():
            log.critical(COMMAND_BROKEN, exc_info=error)
    return CommandFailed(BROKEN)


def _failed(errors: Sequence[Exception]) -> CommandFailed:
    """Say each error on a line of its own; return the exit of the gravest."""
    for text in dict.fromkeys(str(error) for error in errors):
        say(f"error: {text}")
    if any(isinstance(error, InvariantError) for error in errors):
        return CommandFailed(BROKEN)
    if any(isinstance(error, ConfigError) for error in errors):
        return CommandFailed(MISCONFIGURED)
    return CommandFailed(FAILED)


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for one in group.exceptions:
        if isinstance(one, ExceptionGroup):
            yield from _leaves(one)
        else:
            yield one


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set ``stop`` at the first SIGINT or SIGTERM; a SIGINT after it ends the process at once.

    By an exit, as if killed, which the journal is made for: an exception out of the loop, wherever
    that was, would at times wait for what is in flight after all.
    """
    loop = asyncio.get_running_loop()

    def ask() -> None:
        if not stop.is_set():
            stop.set()
            loop.add_signal_handler(signal.SIGINT, _end_at_once)
            say("stopping: nothing new is sent; waiting for what is in flight (Ctrl-C again: quit)")

    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, ask)


def _end_at_once() -> None:
    finish_stderr()
    os._exit(INTERRUPTED)


def halt_on_signal(halt: Callable[[str], None]) -> None:
    """Call ``halt`` at SIGUSR1: nothing more is sent until somebody rearms; watching goes on.

    Also at one that came before and was held back.
    """

    def pull() -> None:
        halt("kill switch: signal SIGUSR1")

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, pull)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
