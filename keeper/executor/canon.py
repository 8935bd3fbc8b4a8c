"""Keep recent outcomes true to the canonical chain until their blocks are final.

An outcome is entered in the books after the configured confirmations; a reorg may still undo it.
Then it is corrected: it landed in another block, or ended otherwise, or is open again. Where its
account has another open intent by then it is open only to be cancelled: its nonce may be free
again, and what has higher ones could not land over a gap.
"""

from collections.abc import Sequence
from dataclasses import replace

import structlog

from keeper.core.chain import BlockRef
from keeper.core.errors import InvariantError, RefusedError, StaleError, TransientError
from keeper.core.plan import Intent, Outcome, Settled, Status
from keeper.core.ports import Journal, Reader
from keeper.core.units import Address, Hash32
from keeper.executor.flight import Flight
from keeper.executor.settler import Settler, dropped

log = structlog.get_logger()

OUTCOME_UNDONE = "outcome.undone"
OUTCOME_CORRECTED = "outcome.corrected"
OUTCOME_DOUBTED = "outcome.doubted"
"""Nodes tell it otherwise; it stands as it is until they agree."""

GONE = "its block was reorged away"


class Canon:
    """The outcomes that are not final yet. Only the settling loop calls it."""

    def __init__(self, *, journal: Journal, reader: Reader, flight: Flight, depth: int) -> None:
        """Make a watch over the outcomes of the last ``depth`` blocks."""
        self._journal = journal
        self._reader = reader
        self._flight = flight
        self._depth = depth
        self._recent: dict[str, Settled] | None = None

    async def review(self, head: BlockRef, settler: Settler) -> list[Outcome]:
        """Correct what a reorg changed; return the corrected outcomes.

        What is found true and is deep enough at ``head`` is final. What could not be looked at is
        looked at again, however deep it is by then. What was dropped may land, whoever had it keeps
        it, for as long as nothing else has its nonce: that long it is not final.
        """
        recent = await self._load()
        corrected: list[Outcome] = []
        sound: list[str] = []
        hashes: dict[int, Hash32 | None] = {}
        used: dict[Address, int] = {}
        oldest = head.number - self._depth
        for one in list(recent.values()):
            newest = one.intent.submission
            if one.block is None and newest is not None and newest.target_block < oldest:
                if newest.sender not in used:
                    used[newest.sender] = await settler.used_nonces(newest.sender)
                if used[newest.sender] <= newest.nonce:
                    continue
            if one.block is not None and one.block not in hashes:
                hashes[one.block] = await self._hash_at(one.block, head)
            if one.block is None or hashes[one.block] != one.block_hash:
                try:
                    outcome = await self._correct(one, settler)
                # It stands as it is, as nodes do not tell; the others do not wait for it.
                except (StaleError, RefusedError) as error:
                    log.warning(OUTCOME_DOUBTED, plan=one.intent.plan_id, why=str(error))
                    continue
                except (InvariantError, TransientError):
                    raise
                except Exception as error:  # noqa: BLE001 - the others do not wait for it either
                    settler.stuck(one.intent, error)
                    continue
                corrected += () if outcome is None else outcome.each
            sound.append(one.intent.plan_id)
        await self._finish(sound, oldest)
        return corrected

    async def _finish(self, sound: Sequence[str], oldest: int) -> None:
        """Watch no longer what is as the chain has it, and older than a reorg reaches."""
        recent = self._recent or {}
        final = [one for one in sound if one in recent and _block_of(recent[one]) < oldest]
        if final:
            await self._journal.finish(final)
        for one in final:
            del recent[one]

    def note(self, intent: Intent, outcome: Outcome) -> None:
        """Take an outcome that was entered in the books just now."""
        if self._recent is not None and intent.attempts:
            self._recent[intent.plan_id] = _settled(intent, outcome)

    async def _load(self) -> dict[str, Settled]:
        """Return what is not final; of earlier runs as well, however long ago they were."""
        if self._recent is None:
            found = await self._journal.unfinal()
            self._recent = {one.intent.plan_id: one for one in found}
        return self._recent

    async def _hash_at(self, number: int, head: BlockRef) -> Hash32 | None:
        if number > head.number:
            return None
        if number == head.number:
            return head.hash
        try:
            return (await self._reader.block(number)).hash
        except StaleError:
            return None

    async def _correct(self, one: Settled, settler: Settler) -> Outcome | None:
        """Bring one outcome in line with the chain; return it if it changed."""
        recent, intent = self._recent or {}, one.intent
        found = await settler.outcome_on_chain(intent)
        if found is not None:
            if (found.block_hash, found.status) == (one.block_hash, one.outcome_status):
                return None  # only its block could not be told
            await self._journal.revise(found)
            recent[intent.plan_id] = _settled(intent, found)
            log.warning(OUTCOME_CORRECTED, plan=intent.plan_id, block=found.block)
            return found
        if one.outcome_status is Status.DROPPED:
            return None
        log.warning(OUTCOME_UNDONE, plan=intent.plan_id, block=one.block)
        if await self._reopened(intent):
            del recent[intent.plan_id]
            return None
        gone = dropped(intent, GONE)
        await self._journal.revise(gone)
        recent[intent.plan_id] = _settled(intent, gone)
        return gone

    async def _reopened(self, intent: Intent) -> bool:
        """Take an intent into flight again; False where another has its nonce.

        Whoever sends sees it open in the journal and in flight, or in neither.
        """
        async with self._flight.numbered():
            status = await self._journal.reopen(intent.plan_id)
            if status is None:
                return False
            self._flight.reopened(replace(intent, status=status))
            return True


def _settled(intent: Intent, outcome: Outcome) -> Settled:
    return Settled(
        intent=intent,
        outcome_status=outcome.status,
        block=outcome.block,
        block_hash=outcome.block_hash,
    )


def _block_of(one: Settled) -> int:
    """Return the block that an outcome is of; for one that never ran, the one it aimed at."""
    if one.block is not None:
        return one.block
    newest = one.intent.submission
    return 0 if newest is None else newest.target_block
