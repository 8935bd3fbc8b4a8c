"""Why nothing would be sent now, by what a keeper and a person leave on disk."""

from keeper.config.settings import Settings
from keeper.ledger.standing import read_halt
from keeper.ledger.store import require_of_chain


def found_halt(settings: Settings) -> str | None:
    """Return why sending is halted, None when it is not.

    Raises ConfigError for a database that cannot be read, or is another chain's.
    """
    require_of_chain(settings.database, settings.chain.chain_id)
    switch = settings.sending.halt_file
    try:
        is_there = switch is not None and switch.exists()
    except OSError as error:
        return f"{switch}: expected to be told whether it is there, found {error.strerror}"
    if is_there:
        return f"the kill switch's file is there, {switch}"
    why = read_halt(settings.database)
    return None if why is None else f"{why}; keeper rearm lets it go on"
