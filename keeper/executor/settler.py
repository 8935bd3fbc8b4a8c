"""Follow what is in flight to its end, and enter it in the books.

It works from the journal's record alone, so it serves a restart as it serves a running keeper.
"""

import time
from collections.abc import Awaitable, Callable

import structlog
from msgspec import Struct

from keeper.core.chain import BlockRef, Receipt
from keeper.core.errors import InvariantError, RefusedError, StaleError, TransientError
from keeper.core.lending import AccountRef, Valuation
from keeper.core.plan import Intent, Outcome, Purpose, Status, Submission
from keeper.core.ports import Journal, Reader, Wire
from keeper.core.units import Address, Hash32
from keeper.core.values import replace
from keeper.evm.signed_transaction import decode_signed
from keeper.executor.dividing import Decoders, divided
from keeper.executor.endings import done, dropped, ended, outcomes_of
from keeper.executor.flight import Flight
from keeper.executor.nonce import Doubts, is_ours, is_used

log = structlog.get_logger()

OUTCOME_UNREADABLE = "outcome.unreadable"
OUTCOME_UNTOLD = "outcome.untold"
"""Nodes tell the end of an intent otherwise, not yet or not at all; the next head looks again."""

PLANNED_PRICES = "divided at the prices that it was planned at: the state of its block is gone"
"""Of a transaction that landed so long ago that no node tells the prices of its block."""
KEPT_BLOCKS = 128
"""Of so many blocks a node that is no archive keeps the state."""
GRACE_S = 60
"""Seconds past its deadline after which a transaction that the node lost is given up."""


class Auditor(Struct, frozen=True, kw_only=True):
    """What is needed to read a deployment's transactions: decoders, and prices at a block."""

    decoders: Decoders
    value_at: Callable[[BlockRef, AccountRef], Awaitable[Valuation | None]]
    """The prices of an account's market at a block."""
    decoders_at: Callable[[Address, BlockRef], Awaitable[Decoders]] | None = None
    """Of what an executor contract ran in a block: it may be another by now, or pay another."""

    async def as_of(self, sent: Submission, block: BlockRef) -> "Auditor":
        """Return what reads a transaction that landed in ``block``."""
        if self.decoders_at is None:
            return self
        executor = decode_signed(sent.raw, sender=sent.sender).transaction.to
        return replace(self, decoders=await self.decoders_at(executor, block))


class Settler:
    """Turns open intents into outcomes."""

    def __init__(  # noqa: PLR0913 - all by keyword, and two of them are ears
        self,
        *,
        wire: Wire,
        reader: Reader,
        journal: Journal,
        flight: Flight,
        auditor_of: Callable[[str], Auditor],
        confirmations: int,
        on_stuck: Callable[[Intent, Exception], None] = lambda *_: None,
        on_foreign: Callable[[Submission], None] = lambda _: None,
        on_settled: Callable[[Intent, Outcome], None] = lambda *_: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a settler.

        ``confirmations`` counts the blocks on top of the including one; ``on_stuck`` hears of an
        intent whose deployment cannot read what became of it, ``on_foreign`` of a
        transaction of ours whose nonce somebody else used with our key, ``on_settled`` of each
        outcome in the books. ``now`` is steady seconds.
        """
        self._wire = wire
        self._reader = reader
        self._journal = journal
        self._flight = flight
        self._auditor_of = auditor_of
        self._confirmations = confirmations
        self._on_foreign = on_foreign
        self._on_settled = on_settled
        self._on_stuck = on_stuck
        self._stuck: set[str] = set()
        self._unpriced: set[tuple[str, Hash32]] = set()
        """Deployments, with blocks whose prices a node did not tell at this head that answers."""
        self._doubts = Doubts[str](now)
        """Of intents whose nonce was used, without a receipt of theirs."""

    async def settle(self, head: BlockRef) -> list[Outcome]:
        """Close every intent that has an end at ``head``; return the outcomes."""
        outcomes: list[Outcome] = []
        self._unpriced.clear()
        for airborne in list(self._flight.airborne.values()):
            try:
                outcome = await self._end_of(airborne.intent, head)
            # It stays in flight, as nodes do not tell; the others do not wait for it.
            except (StaleError, RefusedError) as error:
                log.warning(OUTCOME_UNTOLD, plan=airborne.intent.plan_id, why=str(error))
                continue
            except InvariantError:
                raise
            except TransientError:
                if not outcomes:
                    raise
                break  # those that are in the books are told; the next head brings the others
            except Exception as error:  # noqa: BLE001 - the others do not wait for it either
                self.stuck(airborne.intent, error)
                continue
            if outcome is None or outcome.plan_id not in self._flight.airborne:
                continue  # or whoever carried it out ended it meanwhile
            await self._enter(outcome)
            ran = outcome.status in (Status.LANDED, Status.REVERTED)
            self._flight.landed(outcome.plan_id, ran=ran)
            if outcome.companions and outcome.status is Status.REVERTED:
                self._flight.reverted_together(airborne.intent.refs)
            self._doubts.over(outcome.plan_id)
            self._on_settled(airborne.intent, outcome)
            outcomes += outcome.each
        return outcomes

    async def _enter(self, outcome: Outcome) -> None:
        """Put an outcome on disk; a refusal that comes meanwhile ends nothing."""
        self._flight.closing.add(outcome.plan_id)
        try:
            await self._journal.settle(outcome)
        finally:
            self._flight.closing.discard(outcome.plan_id)

    def stuck(self, intent: Intent, error: Exception) -> None:
        """Leave an intent as it is, and say so once: only its own deployment is to blame."""
        if intent.plan_id not in self._stuck:
            self._stuck.add(intent.plan_id)
            log.error(OUTCOME_UNREADABLE, plan=intent.plan_id, exc_info=error)
        self._on_stuck(intent, error)

    async def _end_of(self, intent: Intent, head: BlockRef) -> Outcome | None:
        """Return how the intent ended, or None while it has not."""
        if intent.submission is None:
            return dropped(intent, "stopped before it was signed")
        found = await self._landed(intent)
        if found is None:
            return await self._end_without_receipt(intent, intent.submission, head)
        self._doubts.over(intent.plan_id)
        submission, receipt = found
        if head.number - receipt.block_number < self._confirmations:
            return None
        return await self._outcome(intent, submission, receipt)

    async def outcome_on_chain(self, intent: Intent) -> Outcome | None:
        """Return how the intent stands on the canonical chain now, None when nothing landed."""
        found = await self._landed(intent)
        return None if found is None else await self._outcome(intent, *found)

    async def _landed(self, intent: Intent) -> tuple[Submission, Receipt] | None:
        """Return which of the intent's transactions landed, None when none has."""
        for submission in intent.attempts:
            receipt = await self._wire.receipt(submission.tx_hash)
            if receipt is not None:
                return submission, receipt
        return None

    async def _end_without_receipt(
        self, intent: Intent, submission: Submission, head: BlockRef
    ) -> Outcome | None:
        """Give up a transaction that can no longer land, or that the node lost for good."""
        next_nonce = await self._wire.nonce(submission.sender, pending=False)
        if next_nonce > submission.nonce:
            return await self._end_by_another(intent, submission, head)
        self._doubts.over(intent.plan_id)
        if head.timestamp <= intent.deadline + GRACE_S:
            return None
        if self._flight.holds_up(submission):
            return None  # tended on, until its nonce is used: nothing above could land
        for attempt in intent.attempts:
            if await self._wire.knows(attempt.tx_hash):
                return await self._above_a_gap(intent, submission, next_nonce)
        return dropped(intent, "the node lost it and its deadline has passed")

    async def _end_by_another(
        self, intent: Intent, submission: Submission, head: BlockRef
    ) -> Outcome | None:
        """Give up a transaction whose nonce another one used.

        A node may count a transaction before it has its receipt, or another one may for it: nobody
        else is accused at the first sight of that.
        """
        sender, nonce = submission.sender, submission.nonce
        lasted = self._doubts.lasted(intent.plan_id, head)
        if not lasted or await self._landed(intent) is not None:
            return None
        ours = await is_ours(self._journal, self._wire, sender, nonce)
        if not await is_used(self._wire, sender, nonce):
            return None
        if not ours:
            self._on_foreign(submission)
        return dropped(intent, f"another transaction took nonce {nonce}")

    async def _above_a_gap(
        self, intent: Intent, submission: Submission, next_nonce: int
    ) -> Outcome | None:
        """Give up what nothing below lets land: nobody uses the sender's next nonce.

        As where a reorg undid the use of the key by somebody else. Its account may be planned anew,
        at that very nonce; what lands above it after all can only cancel, or revert.
        """
        if next_nonce == submission.nonce or next_nonce in self._flight.held(submission.sender):
            return None
        if await self._wire.nonce(submission.sender, pending=True) > next_nonce:
            return None
        return dropped(intent, f"nobody uses nonce {next_nonce} below it; its deadline has passed")

    async def _outcome(self, intent: Intent, submission: Submission, receipt: Receipt) -> Outcome:
        """Read what the transaction did from its receipt, at the prices of its block."""
        gas = receipt.gas_used * receipt.effective_gas_price + receipt.l1_fee
        if submission.purpose is Purpose.CANCEL:
            return ended(intent, receipt, Status.CANCELLED, gas, "cancelled; it cost its gas")
        if not receipt.success:
            detail = "reverted on chain; it cost its gas"
            return ended(intent, receipt, Status.REVERTED, gas, detail)
        block = await self._block_of(receipt)
        auditor = await self._auditor_of(intent.deployment).as_of(submission, block)
        moved = divided(receipt.logs, intent.refs, auditor.decoders, tip=intent.tip, gas=gas)
        values = [
            await self._value(intent.deployment, auditor, block, ref, planned)
            for ref, planned in zip(intent.refs, intent.valuations, strict=True)
        ]
        found = [done(own, *value) for own, value in zip(moved, values, strict=True)]
        return outcomes_of(intent, receipt, found)

    async def _block_of(self, receipt: Receipt) -> BlockRef:
        """Return the block that a receipt names. Raises StaleError where it is another by now."""
        block = await self._reader.block(receipt.block_number)
        if block.hash != receipt.block_hash:
            msg = f"block {block.number}: expected {receipt.block_hash}, found {block.hash}"
            raise StaleError(msg)
        return block

    async def _value(
        self,
        deployment: str,
        auditor: Auditor,
        block: BlockRef,
        ref: AccountRef,
        planned: Valuation | None,
    ) -> tuple[Valuation | None, str]:
        """Return the prices of an account's market at a block, and what is to be said of them.

        Of a block whose state is gone they are those of the plan: what was earned does not depend
        on them, only how it is divided. Raises StaleError where a node that answers does not tell
        them: others do not wait for that, nor is it asked again at the same head.
        """
        if (deployment, block.hash) in self._unpriced:
            raise StaleError(f"{deployment}: its prices at block {block.number} were not told")
        try:
            return await auditor.value_at(block, ref), ""
        except (RefusedError, StaleError, TransientError) as error:  # nodes say it in many ways
            head = await self._reader.head()
            if planned is not None and head.number - block.number > KEPT_BLOCKS:
                return planned, PLANNED_PRICES
            if not isinstance(error, TransientError):
                raise
            self._unpriced.add((deployment, block.hash))
            raise StaleError(str(error)) from error
