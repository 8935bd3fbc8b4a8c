"""A keeper that is killed at a named step of sending: ``python -m tests.support.dying_keeper``.

The first argument names the step, the others are the command line's. The kill is SIGKILL by the
process itself, at the very place, so that nothing of ours runs after it.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from keeper.chain.wire import NodeWire
from keeper.cli import main
from keeper.executor.signing import SigningDesk
from keeper.ledger.journal import SqliteJournal

# Any: the steps take what they take; they are passed through.
STEPS: dict[str, tuple[type, str, bool, int]] = {
    "before signing": (SigningDesk, "sign", False, 1),
    "between signing and journal": (SigningDesk, "sign", True, 1),
    "between journal and sending": (NodeWire, "send_raw", False, 1),
    "amid sending": (NodeWire, "send_raw", True, 2),
    "between sending and its record": (SqliteJournal, "record_all_sent", False, 1),
    "after the record of sending": (SqliteJournal, "record_all_sent", True, 1),
    "between receipt and books": (SqliteJournal, "settle", False, 1),
    "after the first outcome": (SqliteJournal, "settle", True, 1),
}
"""Each step: whose method, before or after it, and at which call."""


def die_at(step: str) -> None:
    """Replace the step's method by one that ends the process."""
    owner, name, after, call = STEPS[step]
    method: Callable[..., Any] = getattr(owner, name)
    calls = iter(range(1, 1_000_000))

    async def dying(*arguments: Any, **named: Any) -> Any:
        number = next(calls)
        if not after and number == call:
            os.kill(os.getpid(), signal.SIGKILL)
        result = await method(*arguments, **named)
        if after and number == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, dying)


if __name__ == "__main__":
    die_at(sys.argv.pop(1))
    main()
