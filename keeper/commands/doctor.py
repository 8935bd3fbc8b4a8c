"""``keeper doctor``: is everything on the chain as the configuration says?"""

from pathlib import Path

from rich.text import Text

from keeper.app.examine import examine
from keeper.commands.console import print_json, say, stdout
from keeper.commands.each_chain import on_each
from keeper.config.fleet import Fleet, load_fleet
from keeper.config.settings import Settings
from keeper.core.text import readable


async def doctor(config: Path, *, as_json: bool, chain: str | None = None) -> bool:
    """Print every finding on every chain, or on one; return whether all are good."""
    fleet = load_fleet(config)

    async def work(settings: Settings) -> bool:
        return await _doctor(settings, fleet, as_json=as_json)

    return all(await on_each(fleet.only(chain), work))


async def _doctor(settings: Settings, fleet: Fleet, *, as_json: bool) -> bool:
    name = settings.chain.name
    bad = 0
    count = 0
    async for finding in examine(settings, in_dollars=fleet.totals.counts_money):
        count += 1
        bad += not finding.good
        if as_json:
            line = {"what": finding.what, "good": finding.good, "detail": finding.detail}
            print_json(line | {"chain": name})
            continue
        mark = Text("ok  ", "green") if finding.good else Text("BAD ", "bold red")
        stdout.print(mark + Text(f"{finding.what}: {readable(finding.detail)}"), soft_wrap=True)
    verdict = f"{count} checks, {bad} bad" if bad else f"{count} checks, all good"
    say(f"{name}: {verdict}" if fleet.several else verdict)
    return bad == 0
