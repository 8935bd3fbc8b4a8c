"""The books for people: the same tables on a terminal and on a static page."""

import html
from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from rich.table import Table
from rich.text import Text

from keeper.core.taken import Taken
from keeper.core.text import printable, readable
from keeper.ledger.amounts import coins_text, short_hex, units_text
from keeper.ledger.books import Books, Entry, Missed, Total

_SPLIT_TITLES: Final = ("Penalty", "Protocol fee", "Swap cost", "Flash fee", "Gas", "Tip", "Net")
_SPLIT_NAMES: Final = ("penalty", "protocol_fee", "swap_cost", "flash_fee", "gas", "tip", "net")
_DETAIL: Final = 160


class Sheet(Struct, frozen=True, kw_only=True):
    """One table as text. The first ``left`` columns are words, the others figures."""

    title: str
    columns: tuple[str, ...]
    left: int
    rows: tuple[tuple[str, ...], ...]


def sheets(books: Books) -> tuple[Sheet, ...]:
    """Return every table of the report that has something to show."""
    found = [_outcomes(books.entries), _remarks(books.entries), _waterfall(books)]
    found.append(_totals("By collateral and debt", "Pair", books.per_pair()))
    found.append(_totals("By day (UTC)", "Day", books.per_day()))
    found.append(_left_alone(books.missed))
    found.append(_taken(books.taken))
    return tuple(sheet for sheet in found if sheet.rows)


def tables(books: Books) -> tuple[Table, ...]:
    """Return the report as tables for a terminal."""
    return tuple(_rich(sheet) for sheet in sheets(books))


def summary(books: Books) -> str:
    """Return the books in one line."""
    total, shown, forced = books.total, books.simulated, books.forced
    parts = [f"{total.count} outcomes, net {coins_text(total.realised.net)}"]
    parts.append(f"forecast {coins_text(total.forecast.net)}")
    if forced.count:
        parts.append(f"{forced.count} of them forced, net {coins_text(forced.realised.net)}")
    if shown.count:
        net = coins_text(shown.forecast.net)
        parts.append(f"{shown.count} shown but not sent, forecast {net}")
    if books.open_intents:
        parts.append(f"{books.open_intents} in flight")
    parts.append(f"{len(books.missed)} left alone")
    if books.taken:
        parts.append(f"{len(books.taken)} taken by others")
    return "; ".join(parts) + ". Amounts are whole native coins, rounded down."


def html_page(*every: Books) -> str:
    """Return the report of one chain or several as one static page, everything in it escaped."""
    names = ", ".join(str(books.chain_id) for books in every)
    return _PAGE.format(chain=names, body="\n".join(_chapter(books) for books in every))


def _chapter(books: Books) -> str:
    name = html.escape(f"{books.chain_id} ({books.chain})" if books.chain else f"{books.chain_id}")
    body = "\n".join(_html(sheet) for sheet in sheets(books))
    summed = html.escape(summary(books))
    return f"<h1>The books of chain {name}</h1>\n<p>{summed}</p>\n{body}"


def _outcomes(entries: Iterable[Entry]) -> Sheet:
    return Sheet(
        title="Outcomes",
        columns=("Account", "Collateral", "Debt", "Status", "Block", "Seized", "Repaid",
                 "Net", "Forecast", "Difference"),
        left=4,
        rows=tuple(_outcome_row(entry) for entry in entries),
    )  # fmt: skip


def _outcome_row(entry: Entry) -> tuple[str, ...]:
    seized = entry.seized if entry.counts else entry.forecast_seized
    repaid = entry.repaid if entry.counts else entry.forecast_repaid
    realised = coins_text(entry.realised.net) if entry.counts else "-"
    difference = coins_text(entry.realised.net - entry.forecast.net) if entry.counts else "-"
    return (
        short_hex(entry.account),
        entry.collateral.symbol,
        entry.debt.symbol,
        _status(entry),
        "-" if entry.block is None else str(entry.block),
        units_text(seized, entry.collateral.unit),
        units_text(repaid, entry.debt.unit),
        realised,
        coins_text(entry.forecast.net),
        difference,
    )


def _remarks(entries: Iterable[Entry]) -> Sheet:
    """Return why what did not land did not, and what is not known of what did."""
    return Sheet(
        title="What there is to say of them",
        columns=("Account", "Status", "Detail", "Block"),
        left=3,
        rows=tuple(
            (
                short_hex(one.account),
                _status(one),
                printable(readable(one.detail), _DETAIL),
                "-" if one.block is None else str(one.block),
            )
            for one in entries
            if one.detail
        ),
    )


def _status(entry: Entry) -> str:
    """Return how it ended, and what there is to know of that."""
    forced = ", forced" if entry.forced else ""
    return f"{entry.status.value}{forced}" + (
        f", one of {entry.together}" if entry.together > 1 else ""
    )


def _waterfall(books: Books) -> Sheet:
    """Return where the penalty went: forecast beside realised, and what was off."""
    total = books.total
    rows = []
    for title, name in zip(_SPLIT_TITLES, _SPLIT_NAMES, strict=True):
        forecast, realised = getattr(total.forecast, name), getattr(total.realised, name)
        amounts = (forecast, realised, realised - forecast)
        rows.append((title, *(coins_text(amount) for amount in amounts)))
    return Sheet(
        title="Where the penalty went",
        columns=("Item", "Forecast", "Realised", "Difference"),
        left=1,
        rows=tuple(rows) if total.count else (),
    )


def _totals(title: str, name: str, totals: Iterable[Total]) -> Sheet:
    return Sheet(
        title=title,
        columns=(name, "Outcomes", *_SPLIT_TITLES, "Forecast net"),
        left=1,
        rows=tuple(
            (
                one.name,
                str(one.count),
                *(coins_text(getattr(one.realised, part)) for part in _SPLIT_NAMES),
                coins_text(one.forecast.net),
            )
            for one in totals
        ),
    )


def _left_alone(missed: Iterable[Missed]) -> Sheet:
    return Sheet(
        title="Left alone",
        columns=("Account", "Reason", "Detail", "Block", "Times", "Best net"),
        left=3,
        rows=tuple(
            (
                short_hex(one.account),
                one.reason,
                printable(readable(one.detail), _DETAIL),
                str(one.block),
                str(one.times),
                "-" if one.net is None else coins_text(one.net),
            )
            for one in missed
        ),
    )


def _taken(taken: Iterable[Taken]) -> Sheet:
    """Return what others liquidated: what was in it for them, and why it was not ours."""
    return Sheet(
        title="Taken by others",
        columns=("Account", "Pair", "Cause", "Detail", "Block", "Seized", "Repaid", "Bonus",
                 "Their gas", "Our forecast"),
        left=4,
        rows=tuple(
            (
                short_hex(one.ref.account),
                f"{one.collateral.symbol} / {one.debt.symbol}",
                one.cause.value,
                printable(readable(one.detail), _DETAIL),
                str(one.block),
                units_text(one.seized, one.collateral.unit),
                units_text(one.repaid, one.debt.unit),
                "-" if one.bonus is None else coins_text(one.bonus),
                coins_text(one.gas),
                "-" if one.forecast_net is None else coins_text(one.forecast_net),
            )
            for one in taken
        ),
    )  # fmt: skip


def _rich(sheet: Sheet) -> Table:
    table = Table(title=sheet.title, title_justify="left")
    for index, column in enumerate(sheet.columns):
        words = index < sheet.left
        table.add_column(column, justify="left" if words else "right", no_wrap=not words)
    for row in sheet.rows:
        # Text, not str: a symbol in square brackets is no markup.
        table.add_row(*(Text(printable(cell, 2 * _DETAIL)) for cell in row))
    return table


def _html(sheet: Sheet) -> str:
    head = _html_row(sheet, "th", sheet.columns)
    rows = "\n".join(_html_row(sheet, "td", row) for row in sheet.rows)
    table = f"<table>{head}\n{rows}\n</table>"
    return f'<h2>{html.escape(sheet.title)}</h2>\n<div class="wide">{table}</div>'


def _html_row(sheet: Sheet, tag: str, texts: Iterable[str]) -> str:
    cells = (_html_cell(sheet, tag, index, text) for index, text in enumerate(texts))
    return f"<tr>{''.join(cells)}</tr>"


def _html_cell(sheet: Sheet, tag: str, index: int, text: str) -> str:
    kind = "" if index < sheet.left else ' class="figure"'
    if len(text) > _LONG:
        kind = ' class="long"'
    return f"<{tag}{kind}>{html.escape(text)}</{tag}>"


_LONG: Final = 40
"""Characters of a cell that is not to become a column a few letters wide."""

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Keeper: the books of chain {chain}</title>
<style>
body {{ font: 15px system-ui, sans-serif; margin: 2rem; color: #1b1f24; }}
.wide {{ overflow-x: auto; margin-bottom: 2rem; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: .3rem .8rem; border-bottom: 1px solid #d0d7de; text-align: left; }}
th.figure, td.figure {{ text-align: right; font-variant-numeric: tabular-nums; }}
.long {{ min-width: 20rem; }}
.figure, th:first-child, td:first-child {{ white-space: nowrap; }}
@media (max-width: 45rem) {{
  body {{ margin: 1rem; font-size: 13px; }}
  th, td {{ padding: .3rem; vertical-align: top; }}
  th, th.figure {{ white-space: normal; vertical-align: bottom; }}
  th:first-child, td:first-child {{ position: sticky; left: 0; background: #fff; }}
  .long {{ min-width: 9rem; }}
}}
</style></head><body>
{body}
</body></html>
"""
