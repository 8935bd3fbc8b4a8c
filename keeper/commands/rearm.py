"""``keeper rearm``: a person's word that sending may go on after a halt."""

from pathlib import Path

from keeper.app.halts import is_switched_off
from keeper.commands.console import print_json, say
from keeper.commands.each_chain import at_each
from keeper.config.fleet import Fleet, load_fleet
from keeper.config.settings import Settings
from keeper.core.errors import ConfigError
from keeper.ledger.standing import rearm
from keeper.ledger.store import require_of_chain
from keeper.runtime.clock import Clock, SystemClock


def rearm_sending(
    config: Path, *, as_json: bool, clock: Clock | None = None, chain: str | None = None
) -> None:
    """Take back a halt on every chain, or on one; a running keeper notices at its next head.

    What went wrong before no longer counts towards the breaker. Raises ConfigError while the kill
    switch's file is still there or nobody can tell, and for a database that is not the chain's.
    """
    fleet = load_fleet(config)
    now = int((clock or SystemClock()).now())
    at_each(fleet.only(chain), lambda one: _rearm(one, fleet, now=now, as_json=as_json))


def _rearm(settings: Settings, fleet: Fleet, *, now: int, as_json: bool) -> None:
    if is_switched_off(settings):
        expected = "expected the kill switch removed before sending goes on, found it there"
        raise ConfigError(f"{settings.sending.halt_file}: {expected}")
    require_of_chain(settings.database, settings.chain.chain_id)
    why = rearm(settings.database, now=now)
    name = settings.chain.name
    before = f"{name}: " if fleet.several else ""
    if as_json:
        print_json({"rearmed": True, "was_halted": why, "chain": name})
    elif why is None:
        say(f"{before}sending was not halted; what went wrong before no longer counts")
    else:
        say(f"{before}sending may go on with the next block; it had been halted: {why}")
