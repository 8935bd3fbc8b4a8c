"""``keeper report``: the books."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from keeper.commands.console import say, stdout
from keeper.commands.each_chain import at_each
from keeper.config.fleet import load_fleet
from keeper.config.settings import Settings
from keeper.core.errors import ConfigError
from keeper.ledger.books import Books, read_books
from keeper.ledger.exports import csv_text, json_lines, missed_lines
from keeper.ledger.report import html_page, summary, tables
from keeper.ledger.store import require_chain_id

_DIGITS = (9, 10)
"""Of unix seconds from 1973 to 2286: eight are a day, thirteen are milliseconds."""


class Shown(Struct, frozen=True, kw_only=True):
    """What is shown of the books, and where it is written besides."""

    as_json: bool = False
    missed: bool = False
    """As JSON: what was missed, not the outcomes. Tables show both."""
    html: Path | None = None
    csv: Path | None = None


def report(config: Path, shown: Shown, *, since: int, chain: str | None = None) -> None:
    """Print the books since a time (unix seconds); also write them where asked.

    Those of several chains are not added up: their coins are not worth the same.
    """
    if shown.missed and not shown.as_json:
        msg = "--missed: expected --json as well; without it the report shows what was missed"
        raise ConfigError(msg)
    fleet = load_fleet(config)
    every: list[Books] = []

    def work(settings: Settings) -> None:
        name = settings.chain.name
        books = read_books(settings.database, since=since, chain=name)
        require_chain_id(settings.database, books.chain_id, settings.chain.chain_id)
        every.append(books)
        if shown.as_json:
            lines = missed_lines(books) if shown.missed else json_lines(books)
            sys.stdout.writelines(line + "\n" for line in lines)
        else:
            print_books(books, heading=name if fleet.several else "")

    try:
        at_each(fleet.only(chain), work)
    finally:
        for path, text in ((shown.html, html_page), (shown.csv, csv_text)):
            if path is not None and every:
                _write(path, text(*every))


def parse_since(text: str) -> int:
    """Return the unix seconds of a day (UTC) or of a number; raise ConfigError."""
    if text == "0" or (text.isdecimal() and len(text) in _DIGITS):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
        # Without an offset it is UTC, as everything in the books.
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except ValueError as error:
        msg = f"--since: expected a day such as 2026-11-22 or unix seconds, found {text!r}"
        raise ConfigError(msg) from error


def print_books(books: Books, *, heading: str = "") -> None:
    """Print the tables and the line that sums them up."""
    if heading:
        stdout.print(heading, style="bold", highlight=False, markup=False)
    for table in tables(books):
        stdout.print(table)
    stdout.print(summary(books), highlight=False, markup=False)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        msg = f"{path}: expected a file that can be written, found: {error.strerror}"
        raise ConfigError(msg) from error
    say(f"wrote {path}")
