"""The capacity of the routes as ``keeper whatif`` shows it, for one move or along a sweep."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from keeper.app.capacity import Capacity
from keeper.commands.amounts import base, share
from keeper.commands.sweep_plot import Curve
from keeper.core.lending import BaseUnit
from keeper.core.text import decimal, printable

_DEPTH = ("Closed at a profit", "Left for lack of depth")


def capacity_table(found: Sequence[Capacity]) -> Table:
    """Show how much of each collateral the exchanges absorb, and what is left for lack of depth."""
    table = Table(title="Capacity of the routes, one block", title_justify="left")
    table.add_column("Collateral")
    for name in (
        "Accounts",
        "Would pay at oracle prices",
        "Closed at a profit",
        "Sold",
        "Left for lack of depth",
    ):
        table.add_column(name, justify="right")
    for one in found:
        table.add_row(
            printable(one.symbol),
            f"{one.accounts:,}",
            base(one.wanted, one.unit),
            f"{base(one.absorbed, one.unit)} ({share(one.absorbed, one.wanted)})",
            f"{decimal(one.sold, one.asset_unit, 4)} {printable(one.symbol)}",
            _left([one], one.unit),
        )
    return table


def _left(found: Sequence[Capacity], unit: BaseUnit) -> str:
    """Return what is left for lack of depth, and what nobody can say, if there is such."""
    unknown = sum(one.unknown for one in found)
    unsure = f", {base(unknown, unit)} unknown" if unknown else ""
    return base(sum(one.left for one in found), unit) + unsure


def capacity_json(one: Capacity) -> dict[str, object]:
    """Return one collateral's row; integers are decimal strings."""
    return {
        "collateral": one.asset,
        "symbol": printable(one.symbol),
        "unit": one.unit.symbol,
        "accounts": one.accounts,
        "wanted_base": str(one.wanted),
        "absorbed_base": str(one.absorbed),
        "left_base": str(one.left),
        "unknown_base": str(one.unknown),
        "sold": str(one.sold),
    }


def sweep_json(deployment: str, label: str, curve: Curve) -> Iterator[dict[str, object]]:
    """Yield each point; the capacity only of those that were planned."""
    for one in curve.points:
        capacity = None if one.capacity is None else [capacity_json(c) for c in one.capacity]
        yield {
            "deployment": deployment,
            "feed": label,
            "unit": curve.unit.symbol,
            "move_bps": one.bps,
            "liquidatable": one.accounts,
            "debt_base": str(one.debt),
            "bad_debt_base": str(one.bad_debt),
            "capacity": capacity,
        }


def sweep_table(curve: Curve) -> Table:
    """Show the points that were planned."""
    table = Table(title=f"Debt at risk: {curve.name}", title_justify="left")
    for name in ("Move", "Accounts", "Debt at risk", "Bad debt", *_DEPTH):
        table.add_column(name, justify="right")
    for one in curve.points:
        if one.capacity is None:
            continue
        table.add_row(
            f"{decimal(one.bps, 100, 0)} %",
            f"{one.accounts:,}",
            base(one.debt, curve.unit),
            base(one.bad_debt, curve.unit),
            base(sum(c.absorbed for c in one.capacity), curve.unit),
            _left(one.capacity, curve.unit),
        )
    return table
