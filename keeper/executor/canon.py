"""Keep recent outcomes true to the canonical chain until their blocks are final.

An outcome is entered in the books after the configured confirmations; a reorg may still undo it.
Then it is corrected: it landed in another block, or ended otherwise, or is open again. Where its
account has another open intent by then it is open only to be cancelled: its nonce may be free
again, and what has higher ones could not land over a gap.

What was dropped never ran because something else has its nonce, or may have. That use is undone by
a reorg as well: then what was dropped may land, or leaves a gap. So it is watched until the use is
as deep as a block must be to be final.
"""

from collections.abc import Callable, Sequence

import structlog

from keeper.core.chain import BlockRef
from keeper.core.errors import InvariantError, RefusedError, StaleError, TransientError
from keeper.core.plan import Intent, Outcome, Settled, Status, Submission
from keeper.core.ports import Journal, Reader
from keeper.core.units import Hash32
from keeper.core.values import replace
from keeper.executor.endings import dropped
from keeper.executor.flight import Flight
from keeper.executor.settler import Settler
from keeper.executor.uses import Uses

log = structlog.get_logger()

OUTCOME_UNDONE = "outcome.undone"
OUTCOME_CORRECTED = "outcome.corrected"
OUTCOME_DOUBTED = "outcome.doubted"
"""Nodes tell it otherwise; it stands as it is until they agree."""

GONE = "its block was reorged away"


class Canon:
    """The outcomes that are not final yet. Only the settling loop calls it."""

    def __init__(
        self,
        *,
        journal: Journal,
        reader: Reader,
        flight: Flight,
        depth: int,
        on_corrected: Callable[[Outcome], None] = lambda _: None,
        on_reopened: Callable[[Intent], None] = lambda _: None,
    ) -> None:
        """Make a watch over the outcomes of the last ``depth`` blocks.

        ``on_corrected`` hears of each one that is another in the books now, ``on_reopened`` of each
        intent that has none any more.
        """
        self._on_corrected = on_corrected
        self._on_reopened = on_reopened
        self._journal = journal
        self._reader = reader
        self._flight = flight
        self._depth = depth
        self._uses = Uses(reader)
        self._recent: dict[str, Settled] | None = None
        self._untold: list[Outcome] = []
        """Corrected ones that no review has returned: the node was away before it was done."""

    async def review(self, head: BlockRef, settler: Settler) -> list[Outcome]:
        """Correct what a reorg changed; return the corrected outcomes, each once.

        What is found true and is deep enough at ``head`` is final. What could not be looked at is
        looked at again, however deep it is by then.
        """
        recent = await self._load()
        hashes = _Hashes(self._reader, head)
        await self._uses.look(head, [newest for _, newest in self._dropped()])
        sound: list[str] = []
        for one in list(recent.values()):
            newest = one.intent.submission
            if one.block is None and newest is not None and not self._uses.is_used(newest):
                continue  # nothing of it can have landed, or that is not told
            if one.block is None or await hashes.at(one.block) != one.block_hash:
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
                self._untold += () if outcome is None else outcome.each
            sound.append(one.intent.plan_id)
        await self._finish(sound, head, hashes)
        await self._fill_gaps()
        corrected, self._untold = self._untold, []
        return corrected

    async def _finish(self, sound: Sequence[str], head: BlockRef, hashes: "_Hashes") -> None:
        """Watch no longer what is as the chain has it, and older than a reorg reaches."""
        recent, oldest = self._recent or {}, head.number - self._depth
        known = [one for one in sound if one in recent]
        final = [one for one in known if await self._is_final(recent[one], oldest, hashes)]
        if final:
            await self._journal.finish(final)
        for one in final:
            del recent[one]

    async def _is_final(self, one: Settled, oldest: int, hashes: "_Hashes") -> bool:
        """Return whether what an outcome rests on is in a block that no reorg undoes any more."""
        newest = one.intent.submission
        if one.block is not None or newest is None:
            return (one.block or 0) < oldest
        if not self._uses.is_used(newest):
            return False
        since = self._uses.since(newest)
        if since.number >= oldest:
            return False
        found = await hashes.at(since.number)
        if found not in (None, since.hash):
            self._uses.gone(since.hash)  # it may have been free in between
        return found == since.hash

    def _dropped(self) -> list[tuple[Settled, Submission]]:
        """Return what is watched and never ran, with its newest transaction."""
        pairs = [(one, one.intent.submission) for one in (self._recent or {}).values()]
        return [(one, newest) for one, newest in pairs if newest and one.block is None]

    async def _fill_gaps(self) -> None:
        """Open again what was dropped where its nonce is free and something above it is open.

        Nothing is dropped below what is open while its nonce is free: a reorg undid the use of it.
        """
        for one, newest in self._dropped():
            is_held = newest.nonce in self._flight.held(newest.sender)
            if is_held or not self._uses.is_free(newest) or not self._flight.holds_up(newest):
                continue
            if await self._reopened(one.intent):
                log.warning(OUTCOME_UNDONE, plan=one.intent.plan_id, nonce=newest.nonce)
                del (self._recent or {})[one.intent.plan_id]

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

    async def _correct(self, one: Settled, settler: Settler) -> Outcome | None:
        """Bring one outcome in line with the chain; return it if it changed."""
        recent, intent = self._recent or {}, one.intent
        found = await settler.outcome_on_chain(intent)
        if found is not None:
            if (found.block_hash, found.status) == (one.block_hash, one.outcome_status):
                return None  # only its block could not be told
            await self._revised(intent, found)
            log.warning(OUTCOME_CORRECTED, plan=intent.plan_id, block=found.block)
            return found
        if one.outcome_status is Status.DROPPED:
            return None
        log.warning(OUTCOME_UNDONE, plan=intent.plan_id, block=one.block)
        if await self._reopened(intent):
            del recent[intent.plan_id]
            return None
        gone = dropped(intent, GONE)
        await self._revised(intent, gone)
        return gone

    async def _revised(self, intent: Intent, outcome: Outcome) -> None:
        """Enter another outcome in the books."""
        await self._journal.revise(outcome)
        (self._recent or {})[intent.plan_id] = _settled(intent, outcome)
        self._on_corrected(outcome)

    async def _reopened(self, intent: Intent) -> bool:
        """Take an intent into flight again; False where another has its nonce.

        Whoever sends sees it open in the journal and in flight, or in neither.
        """
        async with self._flight.numbered():
            status = await self._journal.reopen(intent.plan_id)
            if status is None:
                return False
            self._flight.reopened(replace(intent, status=status))
            self._on_reopened(intent)
            return True


def _settled(intent: Intent, outcome: Outcome) -> Settled:
    return Settled(
        intent=intent,
        outcome_status=outcome.status,
        block=outcome.block,
        block_hash=outcome.block_hash,
    )


class _Hashes:
    """The hashes of canonical blocks, each asked for once at a head."""

    def __init__(self, reader: Reader, head: BlockRef) -> None:
        self._reader = reader
        self._head = head
        self._known: dict[int, Hash32 | None] = {head.number: head.hash}

    async def at(self, number: int) -> Hash32 | None:
        """Return the hash of a block, None where there is none or it is not told."""
        if number not in self._known:
            self._known[number] = await self._read(number)
        return self._known[number]

    async def _read(self, number: int) -> Hash32 | None:
        if number > self._head.number:
            return None
        try:
            return (await self._reader.block(number)).hash
        except StaleError:
            return None
