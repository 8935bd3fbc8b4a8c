"""``keeper scan``: every account with debt, riskiest first."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct
from rich.table import Table

from keeper.app.look import Look, look
from keeper.commands.amounts import base, health, verdict
from keeper.commands.console import print_json, progress_bar, say, stdout
from keeper.commands.each_chain import of_one_block, on_each
from keeper.config.fleet import load_fleet
from keeper.config.settings import Settings
from keeper.core.lending import AccountRef, Health, Leg
from keeper.core.text import printable
from keeper.ledger.amounts import short_hex


class Wanted(Struct, frozen=True, kw_only=True):
    """Which accounts to show. ``below`` is a health factor, wad."""

    below: int | None
    block: int | None
    most: int | None


async def scan(config: Path, wanted: Wanted, *, as_json: bool, chain: str | None = None) -> None:
    """Print the accounts of every deployment of every chain, or of one."""
    chains = of_one_block(load_fleet(config), chain, wanted.block)
    await on_each(chains, lambda one: _scan(one, wanted, as_json=as_json))


async def _scan(settings: Settings, wanted: Wanted, *, as_json: bool) -> None:
    with progress_bar() as bar:
        looks = [one async for one in look(settings, block=wanted.block, progress=bar)]
    for one in looks:
        rows = _rows(one, wanted)
        if as_json:
            for line in _json(one, rows):
                print_json(line | {"chain": settings.chain.name})
        else:
            _print(one, rows)


def _rows(one: Look[Any, Any], wanted: Wanted) -> list[tuple[AccountRef, Health]]:
    """Return the accounts to show, riskiest first."""
    chosen = [
        (ref, standing)
        for ref, standing in one.scan.health.items()
        if wanted.below is None or standing.health_factor < wanted.below
    ]
    chosen.sort(key=lambda row: (row[1].health_factor, row[0]))
    return chosen[: wanted.most]


def _print(one: Look[Any, Any], rows: Iterable[tuple[AccountRef, Health]]) -> None:
    """Print a table, and a line for what could not be judged."""
    shown = list(rows)
    block = one.scan.block
    table = Table(title=f"{one.adapter.deployment} at block {block.number}", title_justify="left")
    for name in ("Account", "Health", "Collateral", "Debt", "Verdict"):
        table.add_column(name, justify="left" if name in ("Account", "Verdict") else "right")
    several = len({ref.market for ref, _ in shown}) > 1
    if several:
        table.add_column("Market")
    for ref, standing in shown:
        unit = one.adapter.base_unit(one.scan.view, ref)
        table.add_row(
            ref.account,
            health(standing.health_factor),
            base(standing.collateral_base, unit),
            base(standing.debt_base, unit),
            verdict(standing),
            *([short_hex(ref.market)] if several else []),
        )
    stdout.print(table)
    under = sum(standing.liquidatable for standing in one.scan.health.values())
    say(f"{len(one.scan.health):,} accounts with debt, {under} liquidatable, {len(shown)} shown")
    for rejection in one.scan.rejections:
        say(f"{rejection.ref.account}: {rejection.reason}: {rejection.detail}")


def _json(
    one: Look[Any, Any], rows: Iterable[tuple[AccountRef, Health]]
) -> Iterator[dict[str, object]]:
    """Return a JSON object for each account; integers are decimal strings."""
    for ref, standing in rows:
        legs = one.adapter.legs(one.scan.view, one.positions[ref])
        yield {
            "protocol": one.adapter.protocol,
            "market": ref.market,
            "account": ref.account,
            "block": one.scan.block.number,
            "health_factor": str(standing.health_factor),
            "liquidatable": standing.liquidatable,
            "collateral_base": str(standing.collateral_base),
            "debt_base": str(standing.debt_base),
            "collateral": [
                _leg(leg) | {"threshold_bps": leg.threshold_bps} for leg in legs.collateral
            ],
            "debt": [_leg(leg) for leg in legs.debt],
        }


def _leg(leg: Leg) -> dict[str, object]:
    return {
        "asset": leg.asset,
        "symbol": printable(leg.symbol),
        "amount": str(leg.amount),
        "price": str(leg.price),
    }
