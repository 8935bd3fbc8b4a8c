"""Where commands print: results on stdout, progress and messages on stderr."""

import atexit
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from keeper.core.errors import ConfigError
from keeper.telemetry.lines import Outlet

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

WIDE = 180
"""Columns where nobody looks at a terminal: tables are cut for no file and no pipe."""
LAST_WORDS_S: Final = 2.0
"""How long the end of a process waits for whoever reads its last lines."""


class _Messages(Console):
    """Stderr: that nobody reads it any more ends nothing."""

    def on_broken_pipe(self) -> None:
        """Go on in silence; rich would end the process, in the midst of a stop at that."""
        self.quiet = True


stdout = Console(width=None if sys.stdout.isatty() else WIDE)
stderr = _Messages(stderr=True)


def print_json(value: Mapping[str, object]) -> None:
    """Print one JSON object on one line of stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def let_go() -> None:
    """Have what is still buffered for stdout go nowhere: no more of it is taken."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Results(io.FileIO):
    """The process's stdout, which tells what is wrong with it by a name."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write; raise ConfigError where that takes no more, as on a full disk."""
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            let_go()
            expected = "expected to write all of the results"
            raise ConfigError(f"stdout: {expected}, found: {error.strerror}") from None


def say_of_stdout() -> None:
    """Have it said of stdout when that takes no more: it would pass for a fault of Keeper's own."""
    own = sys.stdout
    if own is sys.__stdout__ and isinstance(own, io.TextIOWrapper):
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Results(own.fileno(), "w", closefd=False)),
            encoding=own.encoding,
            errors=own.errors,
            line_buffering=own.line_buffering,
        )


def write_stderr_aside(count_lost: Callable[[], None]) -> None:
    """Have a thread write what is said on stderr: who acts waits for nobody that reads it.

    ``count_lost`` is called for each text that is not written.
    """
    own = sys.stderr
    if own is sys.__stderr__ and isinstance(own, io.TextIOWrapper):
        own.flush()
        sys.stderr = cast("TextIO", Outlet(own, count_lost=count_lost))
        atexit.register(finish_stderr)


def finish_stderr() -> None:
    """Wait a little until what was said on stderr is written."""
    own, aside = sys.__stderr__, sys.stderr
    if isinstance(aside, Outlet) and aside.drain(LAST_WORDS_S):
        sys.stderr = own  # the thread writes no more once the interpreter ends


def say(text: str) -> None:
    """Tell the user something that is not a result, where stderr takes it."""
    with suppress(OSError):
        stderr.print(text, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def progress_bar() -> Iterator["Bar"]:
    """Show progress on stderr, where it is a terminal, until the block ends."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    elsewhere = not stderr.is_terminal
    with Progress(*columns, console=stderr, transient=True, disable=elsewhere) as shown:
        yield Bar(shown)


class Bar:
    """One line of progress for each thing that is going on."""

    def __init__(self, shown: Progress) -> None:
        """Draw on ``shown``."""
        self._shown = shown
        self._tasks = {what.description: what.id for what in shown.tasks}

    def __call__(self, what: str, done: int, of: int) -> None:
        """Show that ``done`` of ``of`` are done."""
        if what not in self._tasks:
            self._tasks[what] = self._shown.add_task(what, total=of)
        self._shown.update(self._tasks[what], completed=done, total=of)
