"""After a start: what was signed ahead by an earlier run, and may be out.

A process that was killed between a write and its record leaves an armed plan whose transaction the
node may have. It is looked up by its hash, and by that of what was signed anew and noted. What the
node does not know was not sent, or the node has lost it: that is watched (``doubtful``).
"""

import structlog

from keeper.core.plan import Intent, Status, Submission
from keeper.core.ports import Journal, Wire
from keeper.core.values import replace
from keeper.executor.flight import Flight

log = structlog.get_logger()

PREARM_FOUND = "prearm.found_sent"


async def recover_armed(journal: Journal, wire: Wire, flight: Flight) -> list[Intent]:
    """Make open intents of the armed plans whose transaction the node has; return the others.

    One that cannot be open yet is among those.
    """
    await journal.keep_notes()
    doubtful: list[Intent] = []
    for intent in await journal.armed():
        sent = await _sent(intent, wire)
        if sent is None or not await open_armed(intent, sent, journal, flight):
            doubtful.append(intent)
    return doubtful


async def open_armed(intent: Intent, sent: Submission, journal: Journal, flight: Flight) -> bool:
    """Open an armed intent by the one of its transactions that is out.

    Not while its account, or the nonce, has another open intent: its turn comes after that. As
    long as a node did not know of it, others may have been sent in its place.
    """
    async with flight.numbered():  # nobody opens one from this look to the journal
        is_claimed = (intent.ref.market, intent.ref.account) in flight.busy
        if is_claimed or sent.nonce in flight.held(sent.sender):
            return False
        log.warning(PREARM_FOUND, plan=intent.plan_id, tx=sent.tx_hash, nonce=sent.nonce)
        flight.reopened(replace(intent, status=Status.SIGNED, submission=sent, replaced=()))
        await journal.fired([sent])
    return True


async def _sent(intent: Intent, wire: Wire) -> Submission | None:
    """Return the transaction of an armed plan that the node has, None when it has none."""
    for submission in intent.attempts:
        if await wire.knows(submission.tx_hash):
            return submission
    return None
