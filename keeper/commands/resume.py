"""``keeper resume``: show the markets that are paused, and lift the pause of a deployment."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from keeper.commands.console import print_json, say
from keeper.commands.each_chain import at_each
from keeper.config.complaints import suggestion
from keeper.config.fleet import load_fleet
from keeper.config.settings import Settings
from keeper.core.errors import ConfigError
from keeper.ledger.store import require_of_chain
from keeper.mirror.pauses import Pauses
from keeper.runtime.clock import Clock, SystemClock

_NEXT: Final = "a running keeper reads its loans anew with the next head and goes on"
_NOT_HERE: Final = (
    "nothing is paused by drift; a pause by a fault or by the configuration is not lifted here: "
    "the log says under market.paused what ends it"
)


def resume(
    config: Path,
    deployment: str | None,
    *,
    as_json: bool,
    clock: Clock | None = None,
    chain: str | None = None,
) -> None:
    """Lift the pause of ``deployment``; without one, show what is paused and why.

    A running keeper notices at its next head, and reads everything anew before it acts. Raises
    ConfigError when there is no such deployment, or the database is not that chain's.
    """
    chains = load_fleet(config).only(chain)
    if deployment is None:
        found = sum(at_each(chains, lambda one: _show(one, as_json=as_json)))
        if not found and not as_json:
            say("; ".join(["nothing is paused", *_unused(chains)]))
        return
    settings = _chain_of(deployment, chains, config)
    require_of_chain(settings.database, settings.chain.chain_id)
    kept = Pauses(settings.database, deployment).resume(now=int((clock or SystemClock()).now()))
    if as_json:
        line = {
            "deployment": deployment,
            "resumed": kept is not None,
            "evidence": kept and str(kept),
        }
        print_json(line | {"chain": settings.chain.name})
    elif kept is None:
        say(f"{deployment}: {_NOT_HERE}")
    else:
        say(f"{deployment}: resumed; the evidence is kept in {kept}; {_NEXT}")


def _chain_of(deployment: str, chains: Sequence[Settings], config: Path) -> Settings:
    """Return the chain that a deployment is of. Raises ConfigError."""
    names = [one.name for settings in chains for one in settings.deployments]
    for settings in chains:
        if any(one.name == deployment for one in settings.deployments):
            return settings
    wanted, near = ", ".join(names), suggestion(deployment, names)
    msg = f"{config}: deployment: expected one of {wanted}, found {deployment!r}{near}"
    raise ConfigError(msg)


def _unused(chains: Sequence[Settings]) -> Iterator[str]:
    """Say of which database nothing is known: its path may be mistyped."""
    for one in chains:
        if not one.database.exists():
            yield f"{one.database} is not there: no keeper has run with it"


def _show(settings: Settings, *, as_json: bool) -> int:
    """Show what is paused on a chain; return how much is. Raises ConfigError for its database."""
    found = 0
    for one in settings.deployments:
        pauses = Pauses(settings.database, one.name)
        for market, why in pauses.load().items():
            found += 1
            if as_json:
                line = {"deployment": one.name, "market": market, "why": why}
                print_json(line | {"chain": settings.chain.name})
            else:
                say(f"{one.name}: {market}: {why}")
    require_of_chain(settings.database, settings.chain.chain_id)
    return found
