"""The books for machines: JSON lines and CSV. Integers are decimal text, amounts are exact."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Final

from keeper.core.taken import Taken
from keeper.core.text import printable
from keeper.ledger.books import Books, Entry, Missed
from keeper.ledger.schema import WATERFALL

_PROMISED: Final = (
    "plan",
    "account",
    "collateral_asset",
    "debt_asset",
    "repaid",
    "seized",
    "protocol_fee",
    "swap_cost",
    "flash_fee",
    "gas",
    "tip",
    "net",
    "forecast_net",
    "tx_hash",
    "block",
    "status",
    "trigger",
)
_FURTHER: Final = (
    "deployment",
    "market",
    "penalty",
    "forecast_repaid",
    "forecast_seized",
    *(f"forecast_{name}" for name in WATERFALL if name != "net"),
    "settled",
    "times",
    "detail",
    "chain",
    "forced",
    "together",
)
COLUMNS: Final = (*_PROMISED, *_FURTHER)
"""What a line holds: the promised keys first."""

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


def entry_fields(entry: Entry, chain: str) -> dict[str, str | None]:
    """Return an outcome as text. ``repaid``, ``seized``: raw units; the waterfall: wei."""
    split = {name: str(getattr(entry.realised, name)) for name in WATERFALL}
    forecast = {f"forecast_{name}": str(getattr(entry.forecast, name)) for name in WATERFALL}
    found: dict[str, str | None] = {
        **split,
        **forecast,
        "plan": entry.plan_id,
        "account": entry.account,
        "collateral_asset": entry.collateral.address,
        "debt_asset": entry.debt.address,
        "repaid": str(entry.repaid),
        "seized": str(entry.seized),
        "forecast_repaid": str(entry.forecast_repaid),
        "forecast_seized": str(entry.forecast_seized),
        "tx_hash": entry.tx_hash,
        "block": None if entry.block is None else str(entry.block),
        "status": entry.status.value,
        "trigger": entry.trigger,
        "deployment": entry.deployment,
        "market": entry.market,
        "settled": str(entry.settled),
        "times": str(entry.times),
        "detail": entry.detail,
        "chain": chain,
        "forced": "true" if entry.forced else "false",
        "together": str(entry.together),
    }
    return {name: found[name] for name in COLUMNS}


def json_lines(books: Books) -> Iterator[str]:
    """Yield one JSON object for each outcome, oldest first."""
    for entry in books.entries:
        yield json.dumps(entry_fields(entry, books.chain), ensure_ascii=True)


def csv_text(*every: Books) -> str:
    """Return the outcomes of one chain or several as CSV with a header, one line each."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for books in every:
        for entry in books.entries:
            fields = entry_fields(entry, books.chain)
            writer.writerow({name: _cell(value) for name, value in fields.items()})
    return out.getvalue()


def _cell(value: str | None) -> str:
    """Return a cell that no spreadsheet takes for a formula, or for more than one line.

    A negative amount is no formula. A carriage return is not quoted by ``csv``, and ends a line.
    """
    text = printable(value or "", len(value or ""))
    is_formula = text.startswith(_FORMULA_STARTS) and not text.removeprefix("-").isdecimal()
    return "'" + text if is_formula else text


def missed_lines(books: Books) -> Iterator[str]:
    """Yield one JSON object for each account left alone, then for each liquidation by others."""
    for left in books.missed:
        yield json.dumps({"missed": "left alone", **_left_fields(left), "chain": books.chain})
    for one in books.taken:
        yield json.dumps({"missed": "taken by others", **_taken_fields(one), "chain": books.chain})


def _left_fields(one: Missed) -> dict[str, str | None]:
    return {
        "deployment": one.deployment,
        "market": one.market,
        "account": one.account,
        "block": str(one.block),
        "cause": one.reason,
        "detail": one.detail,
        "forecast_net": None if one.net is None else str(one.net),
        "times": str(one.times),
    }


def _taken_fields(one: Taken) -> dict[str, str | None]:
    """Return a liquidation by others as text. ``repaid``, ``seized``: raw units; others wei."""
    return {
        "deployment": one.deployment,
        "market": one.ref.market,
        "account": one.ref.account,
        "block": str(one.block),
        "cause": one.cause.value,
        "detail": one.detail,
        "forecast_net": None if one.forecast_net is None else str(one.forecast_net),
        "tx_hash": one.tx_hash,
        "place": str(one.place),
        "liquidator": one.liquidator,
        "collateral_asset": one.collateral.address,
        "debt_asset": one.debt.address,
        "repaid": str(one.repaid),
        "seized": str(one.seized),
        "penalty": None if one.penalty is None else str(one.penalty),
        "protocol_fee": None if one.protocol_fee is None else str(one.protocol_fee),
        "gas": str(one.gas),
    }
