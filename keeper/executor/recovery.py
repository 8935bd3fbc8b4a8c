"""After a start: what was signed ahead by an earlier run, and may be out.

A process that was killed between a write and its record leaves an armed plan whose transaction the
node may have. It is looked up by its hash, and by that of what was signed anew and noted. What the
node does not know was not sent, or the node has lost it: that is watched (``doubtful``).
"""

from collections import defaultdict
from collections.abc import Sequence

import structlog

from keeper.core.plan import Submission
from keeper.core.ports import Journal, Wire
from keeper.executor.doubtful import Doubt

log = structlog.get_logger()

PREARM_FOUND = "prearm.found_sent"


async def recover_armed(journal: Journal, wire: Wire) -> list[Doubt]:
    """Make open intents of the armed plans whose transaction the node has; return the others."""
    noted: defaultdict[str, list[Submission]] = defaultdict(list)
    for submission in journal.noted():
        noted[submission.plan_id].append(submission)
    doubts: list[Doubt] = []
    for intent in await journal.armed():
        signed = (*intent.attempts, *reversed(noted[intent.plan_id]))
        sent = await _sent(signed, wire)
        if sent is None:
            doubts.append(Doubt(intent=intent, signed=signed))
            continue
        log.warning(PREARM_FOUND, plan=intent.plan_id, tx=sent.tx_hash, nonce=sent.nonce)
        await journal.fired([sent])
    journal.forget_notes()
    return doubts


async def _sent(signed: Sequence[Submission], wire: Wire) -> Submission | None:
    """Return the transaction of an armed plan that the node has, None when it has none."""
    for submission in signed:
        if await wire.knows(submission.tx_hash):
            return submission
    return None
