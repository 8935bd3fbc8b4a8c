"""``keeper rearm``: a person's word that sending may go on after a halt."""

from pathlib import Path

from keeper.commands.console import print_json, say
from keeper.config.settings import load
from keeper.core.errors import ConfigError
from keeper.ledger.standing import rearm
from keeper.runtime.clock import Clock, SystemClock


def rearm_sending(config: Path, *, as_json: bool, clock: Clock | None = None) -> None:
    """Take back a halt; a running keeper notices at its next head.

    What went wrong before no longer counts towards the breaker. Raises ConfigError while the kill
    switch's file is still there.
    """
    settings = load(config)
    switch = settings.sending.halt_file
    if switch is not None and switch.exists():
        msg = f"{switch}: expected the kill switch removed before sending goes on, found it there"
        raise ConfigError(msg)
    why = rearm(settings.database, now=int((clock or SystemClock()).now()))
    if as_json:
        print_json({"rearmed": True, "was_halted": why})
    elif why is None:
        say("sending was not halted; what went wrong before no longer counts")
    else:
        say(f"sending may go on; it had been halted: {why}")
