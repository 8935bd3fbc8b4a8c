"""Logs on stderr: readable on a terminal, JSON elsewhere, without secrets in either."""

import logging
import os
import sys
from collections.abc import Iterable
from typing import Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

from keeper.telemetry.lines import Lines
from keeper.telemetry.redaction import Redactor

LogFormat = Literal["auto", "console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

_LEVELS: Final = logging.getLevelNamesMapping()


def configure_logging(
    *,
    level: LogLevel = "info",
    form: LogFormat = "auto",
    stream: TextIO | None = None,
    secrets: Iterable[str] = (),
    tap: Processor | None = None,
) -> None:
    """Send every log line, the libraries' included, to ``stream`` (stderr).

    ``secrets`` are texts to hide wherever they occur, besides what looks like one. ``tap`` sees
    each line of ours from ``info`` on after that, whether it is written or not.
    """
    out = sys.stderr if stream is None else stream
    lines, shared = Lines(out), _shared_processors()
    ending: list[Processor] = [Redactor(secrets), _renderer(form, out)]
    least = _LEVELS[level.upper()]
    tapped = [*shared, ending[0], tap, _written_from(least), ending[1]] if tap else None
    structlog.configure(
        processors=tapped or [*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(
            min(least, logging.INFO) if tap else least
        ),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    _route_libraries(out, shared, ending)


def _written_from(least: int) -> Processor:
    """Return a processor that ends the way of lines below a level."""

    def drop(_: object, method: str, event: EventDict) -> EventDict:
        if _LEVELS[str(event.get("level", method)).upper()] < least:
            raise structlog.DropEvent
        return event

    return drop


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        # Plain tracebacks: rich ones show local variables, and one of them may be a key.
        structlog.processors.format_exc_info,
    ]


def _renderer(form: LogFormat, out: TextIO) -> Processor:
    if form == "console" or (form == "auto" and out.isatty()):
        colours = out.isatty() and "NO_COLOR" not in os.environ
        return structlog.dev.ConsoleRenderer(
            colors=colours, exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.processors.JSONRenderer()


def _route_libraries(out: TextIO, shared: list[Processor], ending: list[Processor]) -> None:
    """Put the standard library's logging, from warnings on, through the same processors."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
