"""``keeper whatif``: who becomes liquidatable when prices move, and what that would bring."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from keeper.app.study import Study, studies
from keeper.app.whatif import BPS, Aftermath, Fallen, Move, Positions, aftermath, sweep
from keeper.commands.amounts import base, decimal, ether, health, parse_decimal
from keeper.commands.console import print_json, progress_bar, say, stdout
from keeper.commands.sweep_plot import Curve, write_plot
from keeper.config.settings import load
from keeper.core.errors import ConfigError
from keeper.core.plan import Plan
from keeper.core.text import printable

SWEEP_BPS = tuple(range(0, -8_001, -100))
"""Moves of a sweep: down to minus 80 % in steps of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked."""

    prices: tuple[str, ...]
    """Moves as typed: ``WETH=-12%`` or ``WETH=1800``."""
    sweeps: tuple[str, ...]
    html: Path | None
    block: int | None
    top: int


async def whatif(config: Path, question: Question, *, as_json: bool) -> None:
    """Answer for every deployment."""
    if not question.prices and not question.sweeps:
        msg = "expected --price FEED=MOVE or --sweep FEED, found neither"
        raise ConfigError(msg)
    if question.html is not None and not question.sweeps:
        msg = "--html: expected --sweep FEED to plot, found none"
        raise ConfigError(msg)
    curves: list[Curve] = []
    async with studies(load(config), block=question.block) as found:
        for study in found:
            with progress_bar() as bar:
                positions = await study.everyone(bar)
            if question.prices:
                moves = [parse_move(text, study) for text in question.prices]
                _show(await aftermath(study, positions, moves), question.top, as_json=as_json)
            curves += _sweeps(study, positions, question.sweeps, as_json=as_json)
    if question.html is not None:
        write_plot(question.html, curves)
        say(f"wrote {question.html}")


def parse_move(text: str, study: Study[Any, Any]) -> Move:
    """Return a move of ``FEED=-12%`` or ``FEED=1800``; raise ConfigError."""
    label, separator, amount = text.partition("=")
    if not separator or not label or not amount:
        msg = f"--price: expected FEED=-12% or FEED=1800, found {text!r}"
        raise ConfigError(msg)
    if amount.endswith("%"):
        bps = parse_decimal(amount[:-1], 100)
        if bps < -BPS:
            msg = f"--price: expected a fall of at most 100 %, found {text!r}"
            raise ConfigError(msg)
        return Move(label=label, bps=bps)
    unit = study.adapter.base_unit(study.market, study.anybody)
    return Move(label=label, price=parse_decimal(amount, unit.scale))


def _show(found: Aftermath, top: int, *, as_json: bool) -> None:
    if as_json:
        for one in found.fallen:
            print_json(_fallen_json(found, one))
        print_json(_summary_json(found))
        return
    stdout.print(_summary(found))
    if found.fallen:
        stdout.print(_accounts(found, top))


def _summary(found: Aftermath) -> Table:
    unit, scale = found.unit, found.unit.scale
    table = Table(title=f"{found.deployment} at block {found.block}", title_justify="left")
    table.add_column("If")
    table.add_column("", justify="right")
    for label, (before, after) in found.moves.items():
        move = f"{decimal(before, scale, 4)} → {decimal(after, scale, 4)}"
        table.add_row(f"{printable(label)} goes", move)
    new = [one for one in found.fallen if one.new]
    plans = found.plans
    covered = sum(one.opportunity.health.debt_base for one in plans)
    rows = (
        ("accounts under the line", f"{len(found.fallen):,} of {found.accounts:,}"),
        ("of them because of this", f"{len(new):,}"),
        ("their debt", base(found.debt, unit)),
        ("bad debt at these prices", base(found.bad_debt, unit)),
        ("worth liquidating in one block", f"{len(plans):,} accounts, debt {base(covered, unit)}"),
        ("net of those, native coin", ether(sum(one.forecast.net for one in plans))),
    )
    for name, figure in rows:
        table.add_row(name, figure)
    return table


def _accounts(found: Aftermath, top: int) -> Table:
    table = Table(title=f"The largest {min(top, len(found.fallen))}", title_justify="left")
    for name in ("Account", "Why it falls"):
        table.add_column(name)
    for name in ("Health", "Debt", "Bad debt", "Net"):
        table.add_column(name, justify="right")
    table.add_column("If not")
    for one in found.fallen[:top]:
        net, reason = _done(one)
        table.add_row(
            one.ref.account,
            "this move" if one.new else "under before",
            health(one.health.health_factor),
            base(one.health.debt_base, found.unit),
            base(one.bad_debt, found.unit),
            net,
            reason,
        )
    return table


def _done(one: Fallen) -> tuple[str, str]:
    """Return the net of the plan, or the reason why there is none."""
    if isinstance(one.done, Plan):
        return ether(one.done.forecast.net), ""
    return "-", "" if one.done is None else one.done.reason.value


def _fallen_json(found: Aftermath, one: Fallen) -> dict[str, object]:
    plan = one.done if isinstance(one.done, Plan) else None
    return {
        "deployment": found.deployment,
        "market": one.ref.market,
        "account": one.ref.account,
        "new": one.new,
        "health_factor": str(one.health.health_factor),
        "debt_base": str(one.health.debt_base),
        "collateral_base": str(one.health.collateral_base),
        "bad_debt_base": str(one.bad_debt),
        "forecast_net": None if plan is None else str(plan.forecast.net),
        "reason": None if plan or one.done is None else _done(one)[1],
    }


def _summary_json(found: Aftermath) -> dict[str, object]:
    return {
        "deployment": found.deployment,
        "block": found.block,
        "moves": {k: [str(a), str(b)] for k, (a, b) in found.moves.items()},
        "accounts": found.accounts,
        "liquidatable": len(found.fallen),
        "debt_base": str(found.debt),
        "bad_debt_base": str(found.bad_debt),
        "plans": len(found.plans),
        "net": str(sum(one.forecast.net for one in found.plans)),
    }


def _sweeps(
    study: Study[Any, Any], positions: Positions, labels: Sequence[str], *, as_json: bool
) -> list[Curve]:
    """Sweep each feed, show its points, and return the curves for the plot."""
    unit = study.adapter.base_unit(study.market, study.anybody)
    curves = []
    for label in labels:
        points = sweep(study, positions, label, SWEEP_BPS)
        name = f"{printable(label)} ({study.adapter.deployment})"
        curves.append(Curve(name=name, unit=unit, points=tuple(points)))
        if as_json:
            for one in points:
                print_json(
                    {
                        "deployment": study.adapter.deployment,
                        "feed": label,
                        "move_bps": one.bps,
                        "liquidatable": one.accounts,
                        "debt_base": str(one.debt),
                        "bad_debt_base": str(one.bad_debt),
                    }
                )
        else:
            stdout.print(_sweep_table(curves[-1]))
    return curves


def _sweep_table(curve: Curve) -> Table:
    table = Table(title=f"Debt at risk: {curve.name}", title_justify="left")
    for name in ("Move", "Accounts", "Debt at risk", "Bad debt"):
        table.add_column(name, justify="right")
    for one in curve.points[::10]:
        table.add_row(
            f"{decimal(one.bps, 100, 0)} %",
            f"{one.accounts:,}",
            base(one.debt, curve.unit),
            base(one.bad_debt, curve.unit),
        )
    return table
