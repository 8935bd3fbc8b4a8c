"""``keeper whatif``: who becomes liquidatable when prices move, and what that would bring."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct
from rich.table import Table

from keeper.app.study import Study, studies
from keeper.app.whatif import (
    BPS,
    REACH_TICKS,
    Aftermath,
    Fallen,
    Move,
    Positions,
    aftermath,
    labels_of,
    sweep,
)
from keeper.commands.amounts import base, ether, health, parse_decimal, priced
from keeper.commands.capacity import capacity_json, capacity_table, sweep_json, sweep_table
from keeper.commands.console import print_json, progress_bar, say, stdout
from keeper.commands.each_chain import of_one_block, on_each
from keeper.commands.sweep_plot import Curve, write_plot
from keeper.config.complaints import suggestion
from keeper.config.fleet import load_fleet
from keeper.config.settings import Settings
from keeper.core.errors import ConfigError
from keeper.core.lending import BaseUnit
from keeper.core.plan import Plan
from keeper.core.text import printable
from keeper.core.units import WAD

SWEEP_BPS = tuple(range(0, -8_001, -100))
"""Moves of a sweep: down to minus 80 % in steps of one."""


class Question(Struct, frozen=True, kw_only=True):
    """What is asked."""

    prices: tuple[str, ...]
    """Moves as typed: ``WETH=-12%`` or ``WETH=1800``."""
    sweeps: tuple[str, ...]
    html: Path | None
    block: int | None
    top: int


async def whatif(
    config: Path, question: Question, *, as_json: bool, chain: str | None = None
) -> None:
    """Answer for every deployment that has the feeds."""
    if not question.prices and not question.sweeps:
        msg = "expected --price FEED=MOVE or --sweep FEED, found neither"
        raise ConfigError(msg)
    if question.html is not None and not question.sweeps:
        msg = "--html: expected --sweep FEED to plot, found none"
        raise ConfigError(msg)
    if question.html is not None and not question.html.parent.is_dir():
        # A sweep may take minutes: not found out at its end.
        msg = f"--html: {question.html}: expected a file in a folder that is there, found none"
        raise ConfigError(msg)
    answer = _Answer(question=question, as_json=as_json)
    chains = of_one_block(load_fleet(config), chain, question.block)
    await on_each(chains, answer.of_chain)
    answer.require_known()
    if question.html is not None:
        write_plot(question.html, answer.curves)
        say(f"wrote {question.html}")


class Place(NamedTuple):
    """Which chain an answer is of, and what its coin is called."""

    chain: str
    coin: str


class _Answer:
    """The answer of chain after chain, with what of the question was found on any of them."""

    def __init__(self, *, question: Question, as_json: bool) -> None:
        self._question = question
        self._moves = parse_moves(question.prices)
        self._as_json = as_json
        self._known: set[str] = set()
        self.curves: list[Curve] = []

    async def of_chain(self, settings: Settings) -> None:
        """Show what the moves and sweeps do to each deployment that has their feeds."""
        place = Place(chain=settings.chain.name, coin=settings.chain.native_symbol)
        async with studies(settings, block=self._question.block, reach_ticks=REACH_TICKS) as found:
            for study in found:
                await self._of_study(study, place)

    async def _of_study(self, study: Study[Any, Any], place: Place) -> None:
        known = labels_of(study)
        self._known |= known
        own = [one for one in self._moves if one.label in known]
        swept = [one for one in self._question.sweeps if one in known]
        if not own and not swept:
            return
        with progress_bar() as bar:
            positions = await study.everyone(bar)
        if own:
            found = await aftermath(study, positions, own)
            _show(found, self._question.top, place, as_json=self._as_json)
        self.curves += await _sweeps(study, positions, swept, place, as_json=self._as_json)

    def require_known(self) -> None:
        """Raise ConfigError for a label that no deployment has."""
        asked = [("--price", one.label) for one in self._moves]
        asked += [("--sweep", label) for label in self._question.sweeps]
        for option, label in asked:
            if label not in self._known:
                names = ", ".join(printable(one) for one in sorted(self._known))
                near = suggestion(label, self._known)
                msg = f"{option}: expected a feed of {names}, found {label!r}{near}"
                raise ConfigError(msg)


def parse_moves(texts: Sequence[str]) -> list[Move]:
    """Return the moves, each of another feed; raise ConfigError."""
    moves = [parse_move(text) for text in texts]
    for label, times in Counter(one.label for one in moves).items():
        if times > 1:
            msg = f"--price: expected each feed once, found {label!r} {times} times"
            raise ConfigError(msg)
    return moves


def parse_move(text: str) -> Move:
    """Return a move of ``FEED=-12%`` or ``FEED=1800``; raise ConfigError."""
    label, separator, amount = text.partition("=")
    if not separator or not label or not amount:
        msg = f"--price: expected FEED=-12% or FEED=1800, found {text!r}"
        raise ConfigError(msg)
    try:
        return _move(label, amount)
    except ConfigError as error:
        msg = f"--price: FEED=-12% or FEED=1800: {error} in {text!r}"
        raise ConfigError(msg) from error


def _move(label: str, amount: str) -> Move:
    if amount.endswith("%"):
        bps = parse_decimal(amount[:-1], 100)
        if bps < -BPS:
            msg = f"expected a fall of at most 100 %, found {amount!r}"
            raise ConfigError(msg)
        return Move(label=label, bps=bps)
    price = parse_decimal(amount, WAD)
    if price < 0:
        msg = f"expected a price of at least 0, or a move with %, found {amount!r}"
        raise ConfigError(msg)
    return Move(label=label, price=price)


def _show(found: Aftermath, top: int, place: Place, *, as_json: bool) -> None:
    if as_json:
        for line in (*(_fallen_json(found, one) for one in found.fallen), _summary_json(found)):
            print_json(line | {"chain": place.chain})
        return
    stdout.print(_summary(found, place.coin))
    if found.capacity:
        stdout.print(capacity_table(found.capacity))
    if found.fallen:
        stdout.print(_accounts(found, top, place.coin))


def _summary(found: Aftermath, coin: str) -> Table:
    table = Table(title=f"{found.deployment} at block {found.block}", title_justify="left")
    table.add_column("If")
    table.add_column("", justify="right")
    moves = (
        (
            f"{printable(one.label)} goes",
            f"{priced(one.before, one.scale)} → {priced(one.after, one.scale)}",
        )
        for one in found.moves
    )
    for row in dict.fromkeys(moves):  # several markets of one asset move alike
        table.add_row(*row)
    new = [one for one in found.fallen if one.new]
    plans = found.plans
    rows = (
        ("accounts under the line", f"{len(found.fallen):,} of {found.accounts:,}"),
        ("of them because of this", f"{len(new):,}"),
        ("their debt", _amounts(found.debt)),
        ("bad debt at these prices", _amounts(found.bad_debt)),
        (
            "worth liquidating in one block",
            f"{len(plans):,} accounts, debt {_amounts(found.covered)}",
        ),
        (f"net of those, {coin}", ether(sum(one.forecast.net for one in plans))),
    )
    for name, figure in rows:
        table.add_row(name, figure)
    return table


def _amounts(figures: Mapping[BaseUnit, int]) -> str:
    """Return figures of several units as people read them."""
    return " + ".join(base(figure, unit) for unit, figure in figures.items()) or "-"


def _accounts(found: Aftermath, top: int, coin: str) -> Table:
    table = Table(title=f"The largest {min(top, len(found.fallen))}", title_justify="left")
    for name in ("Account", "Why it falls"):
        table.add_column(name)
    for name in ("Health", "Debt", "Bad debt", f"Net, {coin}"):
        table.add_column(name, justify="right")
    table.add_column("If not")
    for one in found.fallen[:top]:
        net, reason = _done(one)
        table.add_row(
            one.ref.account,
            "this move" if one.new else "under before",
            health(one.health.health_factor),
            base(one.health.debt_base, one.unit),
            base(one.bad_debt, one.unit),
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
        "moves": {one.label: [str(one.before), str(one.after)] for one in found.moves},
        "accounts": found.accounts,
        "liquidatable": len(found.fallen),
        "debt_base": {unit.symbol: str(one) for unit, one in found.debt.items()},
        "bad_debt_base": {unit.symbol: str(one) for unit, one in found.bad_debt.items()},
        "capacity": [capacity_json(one) for one in found.capacity],
        "plans": len(found.plans),
        "net": str(sum(one.forecast.net for one in found.plans)),
    }


async def _sweeps(
    study: Study[Any, Any],
    positions: Positions,
    labels: Sequence[str],
    place: Place,
    *,
    as_json: bool,
) -> list[Curve]:
    """Sweep each feed, show its points, and return the curves for the plot."""
    curves = []
    for label in labels:
        for unit, points in (await sweep(study, positions, label, SWEEP_BPS)).items():
            name = f"{printable(label)} ({study.adapter.deployment})"
            curve = Curve(name=name, unit=unit, points=tuple(points))
            curves.append(curve)
            if as_json:
                for row in sweep_json(study.adapter.deployment, label, curve):
                    print_json(row | {"chain": place.chain})
            else:
                stdout.print(sweep_table(curve))
    return curves
