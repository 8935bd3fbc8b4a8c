"""Where commands print: results on stdout, progress and messages on stderr."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

WIDE = 180
"""Columns where nobody looks at a terminal: tables are cut for no file and no pipe."""

stdout = Console(width=None if sys.stdout.isatty() else WIDE)
stderr = Console(stderr=True)


def print_json(value: Mapping[str, object]) -> None:
    """Print one JSON object on one line of stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def say(text: str) -> None:
    """Tell the user something that is not a result."""
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
