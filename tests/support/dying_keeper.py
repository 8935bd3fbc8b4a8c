"""A keeper that is killed at a named step of sending: ``python -m tests.support.dying_keeper``.

The first argument names the step, the others are the command line's. The kill is SIGKILL by the
process itself, at the very place, so that nothing of ours runs after it.
"""

import os
import signal
import sys
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from keeper.chain.wire import NodeWire
from keeper.cli import main
from keeper.executor.executor import Executor
from keeper.executor.signing import SigningDesk
from keeper.ledger.journal import SqliteJournal

# Any: the steps take what they take; they are passed through.
STEPS: dict[str, tuple[type, str, bool, int]] = {
    "before signing": (SigningDesk, "sign_ahead", False, 1),
    "between signing and journal": (SigningDesk, "sign_ahead", True, 2),
    "between journal and the end of the rehearsal": (SqliteJournal, "arm", True, 1),
    "between rehearsal and sending": (SqliteJournal, "launch", False, 1),
    "between journal and sending": (NodeWire, "post_raw", False, 1),
    "amid sending": (NodeWire, "post_raw", True, 2),
    "between sending and its record": (SqliteJournal, "record_all_sent", False, 1),
    "after the record of sending": (SqliteJournal, "record_all_sent", True, 1),
    "between receipt and books": (SqliteJournal, "settle", False, 1),
    "after the first outcome": (SqliteJournal, "settle", True, 1),
}
"""Each step: whose method, before or after it, and at which call."""


LATE_STEPS: dict[str, tuple[type, str, bool, int]] = {
    "before signing late": (SigningDesk, "sign", False, 1),
    "between signing and journal, late": (SigningDesk, "sign", True, 1),
    "between journal and sending, late": (SqliteJournal, "seal", True, 1),
}
"""The same where nothing is signed before its rehearsal is over."""

PREARMED_STEPS: dict[str, tuple[type, str, bool, int]] = {
    "after arming": (SqliteJournal, "arm", True, 1),
    "between writing and its record": (SqliteJournal, "fired", False, 1),
    "between the record and what the node said": (Executor, "book", False, 1),
}
"""The same where transactions are signed ahead."""


def die_at(step: str) -> None:
    """Replace the step's method by one that ends the process."""
    owner, name, after, call = {**STEPS, **LATE_STEPS, **PREARMED_STEPS}[step]
    act_at(owner, name, lambda: os.kill(os.getpid(), signal.SIGKILL), after=after, call=call)


def act_at(owner: type, name: str, act: Callable[[], None], *, after: bool, call: int) -> None:
    """Replace a method by one that acts, besides what it does, before or after its n-th call."""
    method: Callable[..., Any] = getattr(owner, name)
    calls = iter(range(1, 1_000_000))

    def acting_at_once(*arguments: Any, **named: Any) -> Any:
        number = next(calls)
        if not after and number == call:
            act()
        result = method(*arguments, **named)
        if after and number == call:
            act()
        return result

    async def acting(*arguments: Any, **named: Any) -> Any:
        number = next(calls)
        if not after and number == call:
            act()
        result = await method(*arguments, **named)
        if after and number == call:
            act()
        return result

    setattr(owner, name, acting if iscoroutinefunction(method) else acting_at_once)


if __name__ == "__main__":
    die_at(sys.argv.pop(1))
    main()
