"""After a start: what was signed ahead by an earlier run, and may be out.

A process that was killed between a write and its record leaves an armed plan whose transaction the
node may have. It is looked up by its hash, and by that of what was signed anew and noted. What the
node does not know was not sent, and its nonce is free; should another node hold it after all, a
nonce lands once, and the deadline ends it.
"""

from collections import defaultdict

import structlog

from keeper.core.plan import Intent, Submission
from keeper.core.ports import Journal, Wire

log = structlog.get_logger()

PREARM_FOUND = "prearm.found_sent"


async def recover_armed(journal: Journal, wire: Wire) -> None:
    """Make open intents of the armed plans whose transaction the node has; forget the others."""
    noted: defaultdict[str, list[Submission]] = defaultdict(list)
    for submission in journal.noted():
        noted[submission.plan_id].append(submission)
    void: list[str] = []
    for intent in await journal.armed():
        sent = await _sent(intent, noted[intent.plan_id], wire)
        if sent is None:
            void.append(intent.plan_id)
            continue
        log.warning(PREARM_FOUND, plan=intent.plan_id, tx=sent.tx_hash, nonce=sent.nonce)
        await journal.fired([sent])
    await journal.disarm(void)
    journal.forget_notes()


async def _sent(intent: Intent, noted: list[Submission], wire: Wire) -> Submission | None:
    """Return the transaction of an armed plan that the node has, None when it has none."""
    for submission in (*intent.attempts, *reversed(noted)):
        if await wire.knows(submission.tx_hash):
            return submission
    return None
