"""Look after what is in flight and did not land: send again, raise, or cancel.

A transaction that missed its block is run again as it is, on the newest head. If it would still
earn its least profit it stays: sent again when the node lost it, else replaced by the next rung of
the fee ladder, up to the fee that its own profit pays for. If not, an empty transaction of the same
nonce takes its place. Each is journaled as a further transaction of the same intent before it is
sent, and only one of them can land.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

import structlog

from keeper.core.chain import BlockRef, Fees, next_base_fee
from keeper.core.errors import RefusedError, StaleError, TransientError
from keeper.core.plan import Intent, Outcome, Purpose, Submission
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.executor.airborne import Airborne
from keeper.executor.endings import dropped
from keeper.executor.ladder import raised
from keeper.executor.lanes.lane import Refused, Uncertain
from keeper.executor.means import Means, NextBlock, Patience, after
from keeper.executor.nonce import foreign_nonce
from keeper.executor.policy import Exposure
from keeper.executor.purse import Purse
from keeper.executor.second_look import SecondLook, Verdict, why
from keeper.executor.settler import GRACE_S
from keeper.executor.standing import Standing

log = structlog.get_logger()

RESENT = "transaction.resent"
RAISED = "transaction.raised"
CANCELLED = "transaction.cancelled"
GIVEN_UP = "liquidation.given_up"
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
        self._on_settled = on_settled
        self._second = SecondLook(
            simulator=means.simulator,
            auditor_of=means.auditor_of,
            on_stuck=means.on_stuck,
            overrides=means.overrides,
            limits=means.limits,
            block_time_s=patience.block_time_s,
        )
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
        halted = self._standing.halted is not None
        waiting = [
            pair
            for pair in means.flight.in_order()
            if pair[0].sender == means.desk.address and pair[0].nonce >= confirmed
        ]
        overdue = {newest.plan_id for newest, _ in waiting if halted or self._missed(newest, head)}
        if not overdue:
            return
        verdicts = {} if halted else await self._second.run(waiting, head)
        back = await self._taken_back(waiting, overdue, verdicts, head, exposure)
        outgoing: list[tuple[Submission, str]] = []
        given_up: list[Submission] = []
        for newest, one in reversed(waiting[: len(waiting) - back]):
            if newest.plan_id not in overdue or self._is_strange(newest, one, head):
                continue
            verdict = verdicts.get(newest.plan_id)
            exposure = exposure.by_now(means.flight)
            purpose, cap = self._second.judged(newest, one, verdict, head, exposure)
            if newest.lane != means.lane.name and purpose is not Purpose.CANCEL:
                continue
            try:
                step = await self._step(newest, one, purpose, cap, head)
            # What is journaled by now goes out: else the next head offers more for it, unsent.
            except (RefusedError, StaleError, TransientError) as error:
                log.warning(NOT_REPLACED, plan=newest.plan_id, tx=newest.tx_hash, why=str(error))
                if isinstance(error, RefusedError):
                    continue
                break  # who does not answer is waited for once
            if step is None:
                continue
            outgoing.append(step)
            if purpose is Purpose.CANCEL and newest.purpose is not Purpose.CANCEL:
                given_up += () if means.lane.expires else one.intent.attempts
                log.info(GIVEN_UP, plan=newest.plan_id, why=why(one, verdict))
        await self._send(list(reversed(outgoing)))
        # After what cancels them, which waits for no relay's answer; nor does one for another's.
        await asyncio.gather(*map(means.lane.withdraw, given_up))

    async def _taken_back(
        self,
        waiting: Sequence[tuple[Submission, Airborne]],
        overdue: Collection[str],
        verdicts: Mapping[str, Verdict],
        head: BlockRef,
        exposure: Exposure,
    ) -> int:
        """Take back the bundles above all that is kept, none waiting for another's answer.

        What can no longer land is dropped, from the highest nonce on; returns how many were taken
        back. One below what is kept is not among them: its nonce must be used.
        """
        means, back = self._means, 0
        for newest, one in reversed(waiting) if means.lane.expires else ():
            verdict = verdicts.get(newest.plan_id)
            purpose, _ = self._second.judged(newest, one, verdict, head, exposure)
            # What went out by another lane before has not gone with the block of this one's, nor
            # has what everybody saw in a block that a reorg undid: nodes have it pending.
            is_own = all(each.lane == means.lane.name for each in one.intent.attempts)
            is_over = is_own and newest.plan_id in overdue and purpose is Purpose.CANCEL
            if not is_over or await self._is_pending(one):
                break
            back += 1
        gone = list(reversed(waiting))[:back]
        await asyncio.gather(*(means.lane.withdraw(newest) for newest, _ in gone))
        for newest, one in gone:
            # Something above it may have taken off meanwhile.
            if head.number >= newest.target_block and not means.flight.holds_up(newest):
                await self._drop(newest, one, verdicts.get(newest.plan_id))
        return back

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
        self, newest: Submission, one: Airborne, purpose: Purpose, cap: int, head: BlockRef
    ) -> tuple[Submission, str] | None:
        """Return what is sent next for an intent, journaled, and what to call it in the log."""
        base_fee = next_base_fee(head)
        is_own = newest.lane == self._means.lane.name
        if is_own and purpose is newest.purpose and await self._lost(newest, one, base_fee):
            return await self._aimed_again(newest, head), RESENT
        fees = raised(newest.fees, base_fee=base_fee, cap=cap)
        if fees is None:
            log.info(NOT_REPLACED, plan=newest.plan_id, tx=newest.tx_hash, purpose=purpose, cap=cap)
            return None
        submission = await self._replaced(newest, one, fees, purpose, head)
        if submission is None:
            return None
        return submission, CANCELLED if purpose is Purpose.CANCEL else RAISED

    async def _drop(self, newest: Submission, one: Airborne, verdict: Verdict | None) -> None:
        """Give up what can no longer land, its block being gone: it cost nothing."""
        means = self._means
        log.info(GIVEN_UP, plan=newest.plan_id, why=why(one, verdict))
        outcome = dropped(one.intent, f"not included; {why(one, verdict)}")
        await means.journal.settle(outcome)
        means.flight.landed(newest.plan_id)
        means.desk.nonces.released(newest.nonce)
        self._on_settled(one.intent, outcome)

    async def _lost(self, newest: Submission, one: Airborne, base_fee: int) -> bool:
        """Return whether sending the same bytes again is what is needed.

        Where the node has an earlier one of the nonce it did not lose the newest but refused it, as
        too little over that: the next rung is.
        """
        if newest.fees.max_fee < base_fee:
            return False
        return not (self._means.lane.public and await self._is_pending(one))

    async def _is_pending(self, one: Airborne) -> bool:
        """Return whether a node has any of an intent's transactions."""
        for attempt in one.intent.attempts:
            if await self._means.wire.knows(attempt.tx_hash):
                return True
        return False

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
        """Sign and journal the next rung; None when it landed while we looked."""
        means = self._means
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
