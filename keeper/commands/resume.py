"""``keeper resume``: show the markets that are paused, and lift the pause of a deployment."""

from pathlib import Path

from keeper.commands.console import print_json, say
from keeper.config.settings import Settings, load
from keeper.core.errors import ConfigError
from keeper.mirror.pauses import Pauses
from keeper.runtime.clock import Clock, SystemClock


def resume(
    config: Path, deployment: str | None, *, as_json: bool, clock: Clock | None = None
) -> None:
    """Lift the pause of ``deployment``; without one, show what is paused and why.

    A running keeper notices at its next head, and reads everything anew before it acts. Raises
    ConfigError when there is no such deployment.
    """
    settings = load(config)
    if deployment is None:
        _show(settings, as_json=as_json)
        return
    names = [one.name for one in settings.deployments]
    if deployment not in names:
        wanted = ", ".join(names)
        msg = f"{config}: deployment: expected one of {wanted}, found {deployment!r}"
        raise ConfigError(msg)
    kept = Pauses(settings.database, deployment).resume(now=int((clock or SystemClock()).now()))
    if as_json:
        print_json({"deployment": deployment, "resumed": kept is not None, "evidence": str(kept)})
    elif kept is None:
        say(f"{deployment}: nothing is paused")
    else:
        say(f"{deployment}: resumed; the evidence is kept in {kept}")


def _show(settings: Settings, *, as_json: bool) -> None:
    found = 0
    for one in settings.deployments:
        pauses = Pauses(settings.database, one.name)
        for market, why in pauses.load().items():
            found += 1
            if as_json:
                print_json({"deployment": one.name, "market": market, "why": why})
            else:
                say(f"{one.name}: {market}: {why}")
    if not found and not as_json:
        say("nothing is paused")
