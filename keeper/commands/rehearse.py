"""``keeper rehearse``: could each account near the line be liquidated, if its price came?"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from rich.table import Table

from keeper.app.explain import Crossing
from keeper.app.readiness import Trial, trials
from keeper.app.study import Study, studies
from keeper.commands.amounts import health, priced
from keeper.commands.console import print_json, progress_bar, say, stdout
from keeper.commands.each_chain import of_one_block, on_each
from keeper.config.fleet import load_fleet
from keeper.config.settings import Settings
from keeper.core.plan import Plan
from keeper.core.text import decimal, printable, readable

LIQUIDATED = "liquidated"
FAILS = "FAILS"
LEFT = "left"


class Wanted(Struct, frozen=True, kw_only=True):
    """Which accounts to rehearse. ``below`` is a health factor, wad."""

    below: int | None
    block: int | None
    most: int


async def rehearse(
    config: Path, wanted: Wanted, *, as_json: bool, chain: str | None = None
) -> bool:
    """Rehearse on every chain; return whether the chain did as foretold each time."""
    chains = of_one_block(load_fleet(config), chain, wanted.block)
    return all(await on_each(chains, lambda one: _of_chain(one, wanted, as_json=as_json)))


async def _of_chain(settings: Settings, wanted: Wanted, *, as_json: bool) -> bool:
    done: list[Trial] = []
    async with studies(settings, block=wanted.block) as found:
        for study in found:
            own = await _of_study(study, wanted)
            done += own
            if as_json:
                for one in own:
                    print_json(_json(study, one) | {"chain": settings.chain.name})
            else:
                _print(study, own)
    return not any(one.fails for one in done)


async def _of_study(study: Study[Any, Any], wanted: Wanted) -> list[Trial]:
    with progress_bar() as bar:
        positions = await study.everyone(bar)
        own: list[Trial] = []
        async for one in trials(study, positions, below=wanted.below, most=wanted.most):
            own.append(one)
            bar("rehearsed", len(own), min(wanted.most, len(positions)))
    return own


def verdict(one: Trial) -> str:
    """Say in a word what came of it."""
    if isinstance(one.done, Plan):
        return LIQUIDATED
    return FAILS if one.fails else LEFT


def _print(study: Study[Any, Any], done: Sequence[Trial]) -> None:
    title = f"{study.adapter.deployment} at block {study.block.number}, each at its own price"
    table = Table(title=title, title_justify="left")
    for name in ("Account", "Feed"):
        table.add_column(name)
    for name in ("Health", "Price now", "Liquidated at", "Distance"):
        table.add_column(name, justify="right")
    for name in ("Verdict", "Liquidation, or why not"):
        table.add_column(name)
    for one in done:
        feed = "-" if one.crossing is None else printable(one.crossing.label)
        row = (one.ref.account, feed, health(one.health.health_factor), *_prices(one.crossing))
        table.add_row(*row, verdict(one), _told(one))
    stdout.print(table)
    say(_summary(done))


def _summary(done: Sequence[Trial]) -> str:
    """Say how many there were of each verdict, and for what reasons the others were not."""
    counts = Counter(verdict(one) for one in done)
    reasons = Counter(one.done.reason.value for one in done if not isinstance(one.done, Plan))
    why = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
    return (
        f"{len(done)} accounts rehearsed: {counts[LIQUIDATED]} would be liquidated, to the wei as "
        f"foretold, {counts[LEFT]} left alone, {counts[FAILS]} fail{f' ({why})' if why else ''}"
    )


def _prices(crossing: Crossing | None) -> tuple[str, str, str]:
    if crossing is None or crossing.at is None:
        return "-", "-", "-"
    move = crossing.move_bps or 0
    return (
        priced(crossing.now, crossing.scale),
        priced(crossing.at, crossing.scale),
        f"{'+' if move > 0 else ''}{decimal(move, 100, 2)} %",
    )


def _told(one: Trial) -> str:
    """Say what would be liquidated, or why nothing would."""
    if not isinstance(one.done, Plan):
        return printable(f"{one.done.reason}: {readable(one.done.detail)}", 200)
    plan, values = one.done, one.done.valuation.assets
    debt, collateral = values[plan.option.debt], values[plan.option.collateral]
    repaid = f"{decimal(plan.quote.repay, debt.unit, 6)} {printable(debt.symbol)}"
    seized = f"{decimal(plan.quote.received, collateral.unit, 6)} {printable(collateral.symbol)}"
    return f"repay {repaid}, receive {seized}"


def _json(study: Study[Any, Any], one: Trial) -> dict[str, object]:
    """Return a trial as one object; integers are decimal strings."""
    plan = one.done if isinstance(one.done, Plan) else None
    refused = None if isinstance(one.done, Plan) else one.done
    crossing = one.crossing
    return {
        "deployment": study.adapter.deployment,
        "market": one.ref.market,
        "account": one.ref.account,
        "block": study.block.number,
        "health_factor": str(one.health.health_factor),
        "feed": None if crossing is None else printable(crossing.label),
        "now": None if crossing is None else str(crossing.now),
        "at": None if crossing is None else str(crossing.at),
        "move_bps": None if crossing is None else crossing.move_bps,
        "verdict": verdict(one).lower(),
        "reason": None if refused is None else refused.reason.value,
        "detail": None if refused is None else printable(refused.detail, 1_000),
        "collateral_asset": None if plan is None else plan.option.collateral,
        "debt_asset": None if plan is None else plan.option.debt,
        "repaid": None if plan is None else str(plan.quote.repay),
        "seized": None if plan is None else str(plan.quote.seized),
    }
