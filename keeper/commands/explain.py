"""``keeper explain``: one page on one account."""

from collections.abc import Iterable
from pathlib import Path

from rich.table import Table

from keeper.app.explain import Crossing, Explanation, Term, explain
from keeper.app.study import studies
from keeper.commands.amounts import base, ether, health, priced, verdict
from keeper.commands.console import print_json, say, stdout
from keeper.commands.each_chain import of_one_block, on_each
from keeper.commands.typed import typed_address
from keeper.config.fleet import load_fleet
from keeper.config.settings import Settings
from keeper.core.accounting import Waterfall
from keeper.core.lending import AssetValue, SeizeQuote
from keeper.core.plan import Plan
from keeper.core.text import decimal, printable, readable
from keeper.core.units import Address
from keeper.ledger.amounts import short_hex


async def explain_account(
    config: Path, account: str, *, block: int | None, as_json: bool, chain: str | None = None
) -> bool:
    """Print every place where the account owes something; return whether there is one."""
    who = typed_address("ACCOUNT", account)
    places: list[str] = []

    async def work(settings: Settings) -> int:
        return await _explain(settings, who, places, block=block, as_json=as_json)

    found = sum(await on_each(of_one_block(load_fleet(config), chain, block), work))
    if not found:
        say(f"{who}: no debt in {', '.join(places)}: it never borrowed there, or has repaid")
    return found > 0


async def _explain(
    settings: Settings, who: Address, places: list[str], *, block: int | None, as_json: bool
) -> int:
    """Print the account's pages on one chain; return how many, and add where was looked."""
    pages: list[Explanation] = []
    async with studies(settings, block=block) as found:
        for study in found:
            pages += await explain(study, who)
        places += [f"{one.adapter.deployment} at block {one.block.number}" for one in found]
    for page in pages:
        if as_json:
            print_json(_json(page) | {"chain": settings.chain.name})
        else:
            _print(page, settings.chain.native_symbol, several=len(pages) > 1)
    return len(pages)


def _print(page: Explanation, coin: str, *, several: bool) -> None:
    """Print a page; of several, each says of which market it is."""
    place = (
        f"{page.deployment}, market {short_hex(page.ref.market)}" if several else page.deployment
    )
    stdout.print(f"{page.ref.account} in {place} at block {page.block}", style="bold")
    standing = page.health
    stdout.print(
        f"health factor {health(standing.health_factor)}: {verdict(standing)}", highlight=False
    )
    stdout.print(_positions(page))
    stdout.print(_line(page))
    if page.options:
        stdout.print(_options(page))
    if page.plan is not None:
        stdout.print(plan_table(page.plan))
        stdout.print(_waterfall(page.plan.forecast, coin))
    stdout.print(
        f"Keeper would: {readable(page.action)}", highlight=False, markup=False, soft_wrap=True
    )


def _table(title: str, words: Iterable[str], figures: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in words:
        table.add_column(name)
    for name in figures:
        table.add_column(name, justify="right")
    return table


def _positions(page: Explanation) -> Table:
    """Show the health factor term by term: weighted collateral over debt."""
    figures = ("Amount", "Price", "Value", "Threshold", "Counts for")
    table = _table("Health, term by term", ("", "Asset"), figures)
    scale = page.unit.scale
    for term in page.collateral:
        counts = term.value * term.leg.threshold_bps // 10_000
        weight = f"{decimal(term.leg.threshold_bps, 100, 2)} %"
        table.add_row("collateral", *_amounts(term, scale), weight, base(counts, page.unit))
    for term in page.debt:
        table.add_row("debt", *_amounts(term, scale), "", base(term.value, page.unit))
    return table


def _amounts(term: Term, scale: int) -> tuple[str, str, str, str]:
    leg = term.leg
    return (
        printable(leg.symbol),
        decimal(leg.amount, term.unit, 6),
        priced(leg.price, scale),
        decimal(term.value, scale, 2),
    )


def _line(page: Explanation) -> Table:
    """Show at which price of each feed the verdict changes."""
    turns = "healthy again at" if page.health.liquidatable else "liquidatable at"
    table = _table(
        "The line, each price alone", ("Feed", "Guard"), ("Price now", turns, "Distance")
    )
    for one in page.crossings:
        at = "no price" if one.at is None else priced(one.at, one.scale)
        guard = printable(one.problem, 80) if one.problem else one.remark or "ok"
        table.add_row(printable(one.label), guard, priced(one.now, one.scale), at, _distance(one))
    return table


def _distance(one: Crossing) -> str:
    if one.move_bps is None:
        return "-"
    sign = "+" if one.move_bps > 0 else ""
    return f"{sign}{decimal(one.move_bps, 100, 2)} %"


def _options(page: Explanation) -> Table:
    """Show what the close factor lets one call repay of each debt."""
    table = _table("What one call may repay", ("Collateral", "Debt"), ("At most", "Of the debt"))
    debts = {term.leg.asset: term for term in page.debt}
    names = {term.leg.asset: printable(term.leg.symbol) for term in page.collateral + page.debt}
    for option in page.options:
        debt = debts[option.debt]
        share = min(option.max_repay * 10_000 // max(debt.leg.amount, 1), 10_000)
        table.add_row(
            names[option.collateral],
            names[option.debt],
            decimal(option.max_repay, debt.unit, 6),
            f"{decimal(share, 100, 2)} %",
        )
    return table


def plan_table(plan: Plan) -> Table:
    """Show the plan's steps, each of several liquidations by itself."""
    table = _table("Best plan", ("Step", "Through"), ("In", "Out"))
    values = plan.valuation.assets
    debt, collateral = values[plan.option.debt], values[plan.option.collateral]
    table.add_row("borrow", plan.funding.source, "", _named(plan.funding.amount, debt))
    for title, quote in _liquidations(plan):
        amounts = (_named(quote.repay, debt), _named(quote.received, collateral))
        table.add_row(title, plan.deployment, *amounts)
    known = dict(values)
    if (done := plan.unwound) is not None:
        token = done.underlying
        named = AssetValue(symbol=token.symbol, price=0, unit=token.unit)
        amounts = (_named(done.shares, collateral), _named(done.assets, named))
        table.add_row("redeem", done.kind, *amounts)
        known.setdefault(token.address, named)
    for leg in plan.route:
        amounts = (
            _named(leg.amount_in, known.get(leg.token_in)),
            _named(leg.amount_out, known.get(leg.token_out)),
        )
        table.add_row(f"swap ({leg.kind.value})", f"{leg.venue} {leg.pool[:10]}", *amounts)
    owed = plan.funding.amount + plan.funding.fee
    table.add_row("repay the loan", plan.funding.source, _named(owed, debt), "")
    return table


def _liquidations(plan: Plan) -> list[tuple[str, SeizeQuote]]:
    """Return each liquidation of the plan with its title, and their total where there are more."""
    if len(plan.liquidations) == 1:
        return [("liquidate", plan.quote)]
    count = len(plan.liquidations)
    each = [(f"liquidate, {n} of {count}", one) for n, one in enumerate(plan.liquidations, 1)]
    return [*each, ("liquidated in all", plan.quote)]


def _named(raw: int, value: AssetValue | None) -> str:
    if value is None:
        return f"{raw} raw"
    return f"{decimal(raw, value.unit, 6)} {printable(value.symbol)}"


def _waterfall(split: Waterfall, coin: str) -> Table:
    """Show what the borrower would lose and where it would go, in the native coin."""
    table = _table("Where the penalty would go", ("Item",), (coin,))
    rows = (
        ("penalty: what the borrower loses", split.penalty),
        ("protocol fee", -split.protocol_fee),
        ("swap cost", -split.swap_cost),
        ("flash fee", -split.flash_fee),
        ("gas", -split.gas),
        ("tip", -split.tip),
        ("net", split.net),
    )
    for name, wei in rows:
        table.add_row(name, ether(wei))
    return table


def _json(page: Explanation) -> dict[str, object]:
    """Return the page as one object; integers are decimal strings."""
    plan = page.plan
    return {
        "deployment": page.deployment,
        "market": page.ref.market,
        "account": page.ref.account,
        "block": page.block,
        "health_factor": str(page.health.health_factor),
        "liquidatable": page.health.liquidatable,
        "collateral_base": str(page.health.collateral_base),
        "debt_base": str(page.health.debt_base),
        "crossings": [
            {
                "feed": printable(one.label),
                "now": str(one.now),
                "at": None if one.at is None else str(one.at),
                "move_bps": one.move_bps,
                "problem": one.problem,
                "remark": one.remark,
            }
            for one in page.crossings
        ],
        "options": [
            {"collateral": o.collateral, "debt": o.debt, "max_repay": str(o.max_repay)}
            for o in page.options
        ],
        "plan": None if plan is None else plan.id,
        "steps": [] if plan is None else [_step(one) for one in plan.liquidations],
        "forecast_net": None if plan is None else str(plan.forecast.net),
        "penalty": None if plan is None else str(plan.forecast.penalty),
        "reason": None if page.rejection is None else page.rejection.reason.value,
        "action": page.action,
    }


def _step(quote: SeizeQuote) -> dict[str, str]:
    """Return one liquidation of the plan, raw units."""
    return {
        "repay": str(quote.repay),
        "seized": str(quote.seized),
        "received": str(quote.received),
    }
