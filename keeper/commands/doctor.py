"""``keeper doctor``: is everything on the chain as the configuration says?"""

from pathlib import Path

from rich.text import Text

from keeper.app.examine import examine
from keeper.commands.console import print_json, say, stdout
from keeper.config.settings import load


async def doctor(config: Path, *, as_json: bool) -> bool:
    """Print every finding; return whether all are good."""
    bad = 0
    count = 0
    async for finding in examine(load(config)):
        count += 1
        bad += not finding.good
        if as_json:
            print_json({"what": finding.what, "good": finding.good, "detail": finding.detail})
            continue
        mark = Text("ok  ", "green") if finding.good else Text("BAD ", "bold red")
        stdout.print(mark + Text(f"{finding.what}: {finding.detail}"), soft_wrap=True)
    say(f"{count} checks, {bad} bad" if bad else f"{count} checks, all good")
    return bad == 0
