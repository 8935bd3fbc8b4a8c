"""A keeper as a process of its own that is killed: ``python -m tests.support.mortal_keeper``.

The first three arguments say when it ends itself: a step of sending, how often that is to have
come, and how many milliseconds later; the others are the command line's. What runs is
``keeper run`` with the patience of a test. ``mortal_keeper`` starts one.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from keeper.cli import main
from keeper.commands.running import FAILED
from keeper.core.plan import Plan
from keeper.ledger.journal import SqliteJournal
from tests.support.dying_keeper import PREARMED_STEPS, STEPS, act_at
from tests.support.fault_desk import PASSED_OVER_S, PATIENCE_S, QUICK, _tuned

DOOMS = {
    **{name: where[:3] for name, where in {**STEPS, **PREARMED_STEPS}.items()},
    "before a replacement": (SqliteJournal, "record_signed", False),
    "with a replacement on disk": (SqliteJournal, "record_signed", True),
    "with the same bytes aimed anew": (SqliteJournal, "retarget", True),
    "before what was armed is forgotten": (SqliteJournal, "disarm", False),
    "before an outcome is undone": (SqliteJournal, "reopen", False),
    "after an outcome was undone": (SqliteJournal, "reopen", True),
    "after an outcome was corrected": (SqliteJournal, "revise", True),
}
"""Where a keeper may end: whose method, and whether before or after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doom:
    """When a keeper ends itself, if it lives to see that."""

    step: str
    call: int
    wait_ms: int


@dataclass(slots=True, kw_only=True)
class Mortal:
    """A running keeper process, and where it logs."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def is_dead(self) -> bool:
        """Tell whether it is gone: by its own kill alone, or because it could not start."""
        code = self.process.poll()
        could_not = code == FAILED and not self._seen()
        assert could_not or code in (None, -signal.SIGKILL), self.log.read_text()
        return code is not None

    def halt(self, _: str) -> None:
        if not self.is_dead:
            self.process.send_signal(signal.SIGUSR1)

    def flying(self) -> list[Plan]:
        """Return nothing: only the keeper itself knows."""
        return []

    async def until(self, height: int) -> None:
        """Return once it has looked at a block, was killed, or has passed over it for good."""
        due = time.monotonic() + PASSED_OVER_S
        while not self.is_dead and time.monotonic() < due and self._seen() < height:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def watches(self) -> None:
        """Return once it has looked at a first block."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.is_dead and not self._seen():  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.05)

    def _seen(self) -> int:
        """Return the newest block that it has looked at."""
        lines = [one for one in self.log.read_text().split("\n")[:-1] if "block.scanned" in one]
        return max((json.loads(one)["block"] for one in lines), default=0)


@asynccontextmanager
async def mortal_keeper(
    config: Path, log: Path, *, keys: Sequence[bytes], doom: Doom
) -> AsyncIterator[Mortal]:
    """Start an armed keeper, wait until it watches, and kill it at the latest with the block."""
    when = [doom.step, str(doom.call), str(doom.wait_ms)]
    words = [sys.executable, "-m", "tests.support.mortal_keeper", *when, "run", "--arm"]
    outside = {
        "KEEPER_PRIVATE_KEY": " ".join(one.hex() for one in keys),
        "KEEPER_CONFIRM_LIVE_CHAIN_ID": "31337",
    }
    with log.open("w") as out:
        process = subprocess.Popen(  # noqa: ASYNC220 - it takes no time
            [*words, "-c", str(config)], stdout=out, stderr=out, env={**os.environ, **outside}
        )
    mortal = Mortal(process=process, log=log)
    try:
        await mortal.watches()
        yield mortal
    finally:
        process.kill()
        process.wait()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_in(wait_ms: int) -> None:
    """End the process at once, or a moment later, whatever it does then."""
    if not wait_ms:
        _die()
    late = threading.Timer(wait_ms / 1_000, _die)
    late.daemon = True
    late.start()


if __name__ == "__main__":
    step, call, wait_ms = (sys.argv.pop(1) for _ in range(3))
    owner, name, after = DOOMS[step]
    act_at(owner, name, lambda: _die_in(int(wait_ms)), after=after, call=int(call))
    with _tuned([], QUICK):
        main()
