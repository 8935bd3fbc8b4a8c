"""Lines of the log on their way out: nobody who has something to say waits for whoever reads them.

A disk that is full, a reader that is gone, or one that is there and does not read (a paused
``less``, Ctrl-S on a terminal, a log driver that hangs) is no matter of whoever has something to
say: that may be between a signature and its record. What cannot be written is lost and counted.
"""

import io
import os
import select
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final, TextIO

import structlog

log = structlog.get_logger()

LINES_LOST: Final = "lines.lost"

MOST_HELD: Final = 2**22
"""Characters that wait for a reader: some ten thousand lines."""


class Lines:
    """A logger of structlog's that writes each line to a stream."""

    def __init__(self, out: TextIO) -> None:
        """Write to ``out``."""
        self._write = out.write

    def msg(self, line: str) -> None:
        """Write a line."""
        self._write(line + "\n")

    log = debug = info = warn = warning = error = critical = exception = fatal = msg


class Outlet(io.TextIOBase):
    """A stream that takes everything at once; a thread writes it, in order, where it belongs.

    What comes while too much waits is lost, until half of that is written.
    """

    def __init__(self, out: TextIO, *, count_lost: Callable[[], None]) -> None:
        """Write to the descriptor of ``out``, and call ``count_lost`` for each text that is not."""
        self._out = out
        self._count_lost = count_lost
        self._waiting: SimpleQueue[str | threading.Event] = SimpleQueue()
        # Reentrant: the garbage collector may log, in the midst of anything.
        self._lock = threading.RLock()
        self._held = 0
        self._is_full = False
        self._lost = 0
        """Since that was last said."""
        # A daemon: a reader that does not read must not keep the process from ending.
        threading.Thread(target=self._work, name="log", daemon=True).start()

    def write(self, text: str) -> int:
        """Take a text, or lose it when too much waits. Never blocks."""
        with self._lock:
            self._is_full = self._held >= (MOST_HELD // 2 if self._is_full else MOST_HELD)
            is_taken = not self._is_full
            if is_taken:
                self._held += len(text)
                self._waiting.put(text)
        if not is_taken:
            self._lose()
        return len(text)

    def drain(self, patience_s: float) -> bool:
        """Wait until all that was taken is written, for so long; return whether it is."""
        reached = threading.Event()
        self._waiting.put(reached)
        return reached.wait(patience_s)

    def writable(self) -> bool:
        """Return True."""
        return True

    def isatty(self) -> bool:
        """Return whether a person reads this."""
        return self._out.isatty()

    def fileno(self) -> int:
        """Return the descriptor that all goes to."""
        return self._out.fileno()

    def _work(self) -> None:
        while True:
            one = self._waiting.get()
            if isinstance(one, threading.Event):
                one.set()
            elif self._is_written(one.encode("utf-8", "backslashreplace")):
                self._let_go(one)
                self._tell()
            else:
                self._let_go(one)
                self._lose()

    def _is_written(self, content: bytes) -> bool:
        """Write past the stream, whose lock would be held at the process's end otherwise."""
        try:
            while content:
                content = content[self._taken(content) :]
        except (OSError, ValueError):  # the latter of a stream that somebody closed
            return False
        return True

    def _taken(self, content: bytes) -> int:
        try:
            return os.write(self.fileno(), content)
        except BlockingIOError:  # somebody who shares it made it so
            select.select([], [self], [])
            return 0

    def _let_go(self, text: str) -> None:
        with self._lock:
            self._held -= len(text)

    def _lose(self) -> None:
        with self._lock:
            self._lost += 1
        self._count_lost()

    def _tell(self) -> None:
        """Say what was lost, where it would have stood."""
        with self._lock:
            if not self._lost or (self._is_full and self._held >= MOST_HELD // 2):
                return
            lost, self._lost = self._lost, 0
        log.warning(LINES_LOST, count=lost)
