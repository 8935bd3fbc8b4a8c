"""Lines of the log on their way out: what cannot be written is lost and counted, and stops nothing.

A disk that is full, or a reader that is gone, is no matter of whoever has something to say: that
may be between a signature and its record.
"""

import threading
from typing import Final, TextIO

import structlog

log = structlog.get_logger()

LINES_LOST: Final = "lines.lost"


class Lines:
    """A logger of structlog's that writes each line to a stream."""

    def __init__(self, out: TextIO) -> None:
        """Write to ``out``."""
        self._out = out
        self._lock = threading.Lock()
        self._lost = 0

    def msg(self, line: str) -> None:
        """Write a line; after lines that were lost also how many."""
        with self._lock:
            if not self._is_written(line):
                self._lost += 1
                return
            lost, self._lost = self._lost, 0
        if lost:
            log.warning(LINES_LOST, count=lost)

    log = debug = info = warn = warning = error = critical = exception = fatal = msg

    def _is_written(self, line: str) -> bool:
        try:
            self._out.write(line + "\n")
            self._out.flush()
        except OSError:
            return False
        return True
