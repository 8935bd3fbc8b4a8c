"""Look after what is in flight and did not land: send again, raise, or cancel.

A transaction that missed its block is run again as it is, on the newest head. If it would still
earn its least profit it stays: sent again when the node lost it, else replaced by the next rung of
the fee ladder, up to the fee that its own profit pays for. If not, an empty transaction of the same
nonce takes its place. Each is journaled as a further transaction of the same intent before it is
sent, and only one of them can land.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from keeper.core.chain import BlockRef, Fees, next_base_fee
from keeper.core.errors import RefusedError, StaleError, TransientError
from keeper.core.plan import Intent, Outcome, Purpose, Submission
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.executor.airborne import Airborne
from keeper.executor.ladder import afresh, bumped, raised
from keeper.executor.lanes.lane import Refused, Uncertain
from keeper.executor.means import Means, NextBlock, Patience, after
from keeper.executor.nonce import foreign_nonce
from keeper.executor.policy import Exposure
from keeper.executor.purse import Purse
from keeper.executor.second_look import Overdue, SecondLook, why
from keeper.executor.settler import GRACE_S
from keeper.executor.standing import Standing
from keeper.executor.taking_back import TakingBack, is_pending, tell_given_up

log = structlog.get_logger()

RESENT = "transaction.resent"
RAISED = "transaction.raised"
CANCELLED = "transaction.cancelled"
NOT_REPLACED = "transaction.not_replaced"
KEY_USED = "key.used_elsewhere"


class Tender:
    """Tends the open intents of one signer. Only the executor's turn calls it."""

    def __init__(
        self,
        means: Means,
        patience: Patience,
        standing: Standing,
        *,
        on_settled: Callable[[Intent, Outcome], None],
    ) -> None:
        """Make a tender; ``on_settled`` hears of each intent that it gives up."""
        self._means = means
        self._patience = patience
        self._standing = standing
        self._second = SecondLook(
            simulator=means.simulator,
            auditor_of=means.auditor_of,
            on_stuck=means.on_stuck,
            overrides=means.overrides,
            limits=means.limits,
            block_time_s=patience.block_time_s,
        )
        self._taking_back = TakingBack(means, self._second, on_settled)
        self._next_block: NextBlock = after
        self._purse = Purse(means.desk.address, floor=means.limits.min_balance)

    @property
    def address(self) -> Address:
        """Return whose transactions it tends."""
        return self._means.desk.address

    @property
    def balance(self) -> int | None:
        """Return what its key held at the newest head that was tended, wei; None when unknown."""
        return self._purse.balance

    async def begin(self) -> None:
        """Take stock of the key's nonces, and say if somebody used it while no keeper ran."""
        desk = self._means.desk
        confirmed = await self._means.wire.nonce(desk.address, pending=False)
        desk.nonces.begin(confirmed)
        await self._notice_others(confirmed, None)

    async def tend(self, head: BlockRef, exposure: Exposure, next_block: NextBlock = after) -> None:
        """Deal with everything that is overdue at ``head``; when halted, cancel what can be."""
        means, self._next_block = self._means, next_block
        confirmed = await means.wire.nonce(means.desk.address, pending=False)
        await self._notice_others(confirmed, head)
        self._purse.holds((exposure.balances or {}).get(means.desk.address))
        found = await self._overdue(head, confirmed)
        if not found.plan_ids:
            return
        back = await self._taking_back.taken_back(found, exposure)
        outgoing, given_up = await self._steps(found, back, exposure)
        await self._send(outgoing)
        # After what cancels them, which waits for no relay's answer; nor does one for another's.
        await asyncio.gather(*map(means.lane.withdraw, given_up))

    async def _overdue(self, head: BlockRef, confirmed: int) -> Overdue:
        """Return what has to be dealt with, run again unless all of it is to be cancelled."""
        means, halted = self._means, self._standing.halted is not None
        waiting = [
            pair
            for pair in means.flight.in_order()
            if pair[0].sender == means.desk.address and pair[0].nonce >= confirmed
        ]
        plan_ids = {
            newest.plan_id
            for newest, one in waiting
            if halted or self._missed(newest, head) or self._second.bars(one)
        }
        verdicts = await self._second.run(waiting, head) if plan_ids and not halted else {}
        return Overdue(head=head, waiting=waiting, plan_ids=plan_ids, verdicts=verdicts)

    async def _steps(
        self, found: Overdue, back: int, exposure: Exposure
    ) -> tuple[Sequence[tuple[Submission, str]], Sequence[Submission]]:
        """Sign and journal the next step of each but the last ``back``, from the last on.

        Returns what goes out, in the order of nonces, and what is asked back besides.
        """
        outgoing: list[tuple[Submission, str]] = []
        given_up: list[Submission] = []
        for newest, one in reversed(found.waiting[: len(found.waiting) - back]):
            if newest.plan_id not in found.plan_ids or self._is_strange(newest, one, found.head):
                continue
            try:
                step = await self._step(newest, one, found, exposure)
            # What is journaled by now goes out: else the next head offers more for it, unsent.
            except (RefusedError, StaleError, TransientError) as error:
                log.warning(NOT_REPLACED, plan=newest.plan_id, tx=newest.tx_hash, why=str(error))
                if isinstance(error, RefusedError):
                    continue
                break  # who does not answer is waited for once
            if step is None:
                continue
            outgoing.append(step)
            if step[0].purpose is Purpose.CANCEL and newest.purpose is not Purpose.CANCEL:
                given_up += () if self._means.lane.expires else one.intent.attempts
                tell_given_up(newest, why(one, found.verdicts.get(newest.plan_id)))
        return outgoing[::-1], given_up

    def _missed(self, newest: Submission, head: BlockRef) -> bool:
        """Return whether a transaction is overdue; a bundle is when its one block is there."""
        patience = 0 if self._means.lane.expires else self._patience.replace_after_blocks
        return head.number >= newest.target_block + patience

    def _is_strange(self, newest: Submission, one: Airborne, head: BlockRef) -> bool:
        """Return whether a transaction is of another lane, and say that it is left alone.

        It may land yet, whatever can be done, or is sure, of this lane's; after its deadline it can
        only revert, and is cancelled by this one.
        """
        if newest.lane == self._means.lane.name or head.timestamp > one.intent.deadline + GRACE_S:
            return False
        why = f"it belongs to lane {newest.lane}, this is {self._means.lane.name}"
        log.error(NOT_REPLACED, plan=newest.plan_id, tx=newest.tx_hash, why=why)
        return True

    async def _notice_others(self, confirmed: int, head: BlockRef | None) -> None:
        """Halt, or only say so, when the key was used by somebody else."""
        means, nonces = self._means, self._means.desk.nonces
        found = await foreign_nonce(nonces, means.journal, means.wire, confirmed, head)
        if found is not None:
            self.used_elsewhere(found)

    def used_elsewhere(self, nonce: int) -> None:
        """Take note that somebody else signed with our key, be it while no keeper ran."""
        address = self._means.desk.address
        while_off = self._means.desk.nonces.is_of_before(nonce)
        log.error(KEY_USED, address=address, nonce=nonce, while_off=while_off)
        if self._patience.halt_on_foreign_nonce and not while_off:
            self._standing.halt(
                f"key of {address}: nonce {nonce} was used by a transaction that is not ours"
            )

    async def _step(
        self, newest: Submission, one: Airborne, found: Overdue, exposure: Exposure
    ) -> tuple[Submission, str] | None:
        """Return what is sent next for an intent, journaled, and what to call it in the log."""
        head, base_fee = found.head, next_base_fee(found.head)
        purpose, _ = self._judged(newest, one, found, exposure)
        is_own, is_cancel = newest.lane == self._means.lane.name, purpose is Purpose.CANCEL
        if not is_own and not is_cancel:
            return None
        is_same = is_own and purpose is newest.purpose and self._is_within(newest)
        if is_same and await self._lost(newest, one, base_fee):
            return await self._aimed_again(newest, head), RESENT
        is_free = is_cancel and await self._is_free(newest, one)
        # From here to the reservation nobody else takes room.
        _, cap = self._judged(newest, one, found, exposure)
        offer = afresh if is_free else raised
        fees = offer(newest.fees, base_fee=base_fee, cap=cap)
        if fees is None:
            log.info(NOT_REPLACED, plan=newest.plan_id, tx=newest.tx_hash, purpose=purpose, cap=cap)
            return None
        submission = await self._replaced(newest, one, fees, purpose, head)
        if submission is None:
            return None
        return submission, CANCELLED if is_cancel else RAISED

    def _judged(
        self, newest: Submission, one: Airborne, found: Overdue, exposure: Exposure
    ) -> tuple[Purpose, int]:
        """Return what is next, and the most that all others leave it to offer just now."""
        share, now = self._means.share, exposure.by_now(self._means.flight)
        if share is not None:
            now = replace(now, left_of_totals=share.left())
        verdict = found.verdicts.get(newest.plan_id)
        return self._second.judged(newest, one, verdict, found.head, now)

    def _is_within(self, newest: Submission) -> bool:
        """Return whether a transaction keeps to the cap of now, which may have been lowered."""
        limits = self._means.limits
        cancels = newest.purpose is Purpose.CANCEL
        return newest.fees.max_fee <= (limits.max_gas_price if cancels else limits.max_bid)

    async def _is_free(self, newest: Submission, one: Airborne) -> bool:
        """Return whether what the cap of now cannot outbid need not be: no node has any of it."""
        is_above = bumped(newest.fees.max_fee) > self._means.limits.max_gas_price
        return is_above and not await is_pending(self._means.wire, one)

    async def _lost(self, newest: Submission, one: Airborne, base_fee: int) -> bool:
        """Return whether sending the same bytes again is what is needed.

        Where the node has an earlier one of the nonce it did not lose the newest but refused it, as
        too little over that: the next rung is.
        """
        if newest.fees.max_fee < base_fee:
            return False
        return not (self._means.lane.public and await is_pending(self._means.wire, one))

    async def _aimed_again(self, newest: Submission, head: BlockRef) -> Submission:
        """Journal that the same bytes go out again, for the next block.

        An earlier run's word would let the next one give up a bundle whose block is still to come.
        """
        aimed = replace(newest, target_block=self._next_block(head))
        await self._means.journal.retarget(aimed)
        self._means.flight.retargeted(aimed)
        return aimed

    async def _replaced(
        self, newest: Submission, one: Airborne, fees: Fees, purpose: Purpose, head: BlockRef
    ) -> Submission | None:
        """Sign and journal the next rung; None when it landed while we looked.

        Until it is there its cost is reserved: other keys, and chains, take none of that room.
        """
        means = self._means
        means.flight.reserve(newest.plan_id, one.cost(purpose, fees))
        try:
            if await means.wire.nonce(newest.sender, pending=False) > newest.nonce:
                return None
            submission = await means.desk.replace(
                newest,
                one,
                fees=fees,
                target_block=self._next_block(head),
                purpose=purpose,
                lane=means.lane.name,
            )
            await means.journal.record_signed(submission)
            means.flight.replaced(submission)
            return submission
        finally:
            means.flight.reserve(newest.plan_id, 0)

    async def _send(self, outgoing: Sequence[tuple[Submission, str]]) -> None:
        """Send journaled transactions, in order; since a halt only what cancels."""
        means, halted = self._means, self._standing.halted is not None
        going = [one for one in outgoing if not halted or one[0].purpose is Purpose.CANCEL]
        if not going:
            return
        deliveries = await means.lane.send([submission for submission, _ in going])
        taken: list[Submission] = []
        for (submission, what), delivery in zip(going, deliveries, strict=True):
            problem = delivery.why if isinstance(delivery, Refused | Uncertain) else ""
            _say(what, submission, problem)
            if not problem:
                taken.append(submission)
        await means.journal.record_all_sent(taken)


def _say(what: str, submission: Submission, problem: str) -> None:
    """Log what was sent again, under the name of what it is for."""
    facts = {
        "plan": submission.plan_id,
        "tx": submission.tx_hash,
        "nonce": submission.nonce,
        "max_fee_wei": submission.fees.max_fee,
        "problem": problem,
    }
    if what == RESENT:
        log.info(RESENT, **facts)
    elif what == RAISED:
        log.info(RAISED, **facts)
    else:
        log.info(CANCELLED, **facts)
