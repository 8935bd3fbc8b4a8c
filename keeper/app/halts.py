"""Why nothing would be sent now, by what a keeper and a person leave on disk."""

from keeper.config.settings import Settings
from keeper.core.errors import ConfigError
from keeper.ledger.standing import read_halt
from keeper.ledger.store import require_of_chain
from keeper.runtime.presence import is_there


def is_switched_off(settings: Settings) -> bool:
    """Return whether the kill switch's file is there; raise ConfigError where nobody can tell."""
    switch = settings.sending.halt_file
    try:
        return switch is not None and is_there(switch)
    except OSError as error:
        expected = "expected to be told whether the kill switch's file is there"
        raise ConfigError(f"{switch}: {expected}, found: {error.strerror}") from error


def found_halt(settings: Settings) -> str | None:
    """Return why sending is halted, None when it is not.

    Raises ConfigError for a database that cannot be read, or is another chain's.
    """
    require_of_chain(settings.database, settings.chain.chain_id)
    try:
        if is_switched_off(settings):
            return f"the kill switch's file is there, {settings.sending.halt_file}"
    except ConfigError as error:
        return str(error)
    why = read_halt(settings.database)
    return None if why is None else f"{why}; keeper rearm lets it go on"
