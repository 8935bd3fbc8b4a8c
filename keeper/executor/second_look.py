"""What becomes of a transaction that missed its block: it is run again and judged again."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from msgspec import Struct

from keeper.core.chain import BlockRef, Simulated, StateOverride, Transaction, next_base_fee
from keeper.core.errors import InvariantError, RefusedError, StaleError, TransientError
from keeper.core.plan import Intent, Purpose, Status, Submission
from keeper.core.ports import Simulator
from keeper.core.units import Address
from keeper.executor.airborne import Airborne
from keeper.executor.ladder import break_even
from keeper.executor.policy import Exposure, Limits, strange
from keeper.executor.settlement import received
from keeper.executor.settler import Auditor


class Verdict(Struct, frozen=True, kw_only=True):
    """What running the transaction again found. ``received`` is wei, ``gas_used`` units."""

    success: bool
    received: int
    gas_used: int
    error: str
    barred: str = ""
    """What of it is on no list of the operator's; it was not run."""


UNREAD: Final = Verdict(success=False, received=0, gas_used=0, error="")
"""Of a transaction whose deployment cannot read what it would do: it is offered no more for."""


class Overdue(Struct, frozen=True, kw_only=True):
    """What a signer has in flight at a head, and what of it is to be dealt with."""

    head: BlockRef
    waiting: Sequence[tuple[Submission, Airborne]]
    """All of it, by nonce."""
    plan_ids: Collection[str]
    """The overdue ones."""
    verdicts: Mapping[str, Verdict]
    """By plan; of none when all is to be cancelled."""


class SecondLook(Struct, frozen=True, kw_only=True):
    """Runs what is in flight on a newer head, and says what it is worth there."""

    simulator: Simulator
    auditor_of: Callable[[str], Auditor]
    on_stuck: Callable[[Intent, Exception], None]
    """Hears of an intent whose deployment cannot read it."""
    overrides: Mapping[Address, StateOverride]
    limits: Limits
    block_time_s: int

    async def run(
        self, waiting: Sequence[tuple[Submission, Airborne]], head: BlockRef
    ) -> dict[str, Verdict]:
        """Run the liquidations in flight on ``head``, in their order, but those that are barred."""
        barred = {one.intent.plan_id: _barred(why) for _, one in waiting if (why := self.bars(one))}
        alive = [
            (one.intent, one.transaction)
            for _, one in waiting
            if one.transaction and not one.cancelled and one.intent.plan_id not in barred
        ]
        if not alive:
            return barred
        results = await self._results([one for _, one in alive], (), head)
        return barred | {
            intent.plan_id: self._verdict(intent, result)
            for (intent, _), result in zip(alive, results, strict=True)
        }

    def bars(self, one: Airborne) -> str | None:
        """Return what of a transaction is on no list of the operator's, in words, or None.

        It was sent by an earlier run, under other lists: what is planned in this one is on them.
        """
        if one.transaction is None or one.cancelled:
            return None
        return strange(one.transaction, self.limits)

    async def _results(
        self, running: Sequence[Transaction], before: Sequence[Transaction], head: BlockRef
    ) -> list[Simulated]:
        """Run transactions on ``head`` behind others that succeed there.

        Where one takes all the gas that is left geth tells of none: then half of them run, and the
        other half behind what did not fail. Raises RefusedError where one alone is not told of.
        """
        try:
            results = await self.simulator.simulate(
                [*before, *running],
                base=head,
                timestamp=head.timestamp + self.block_time_s,
                base_fee=next_base_fee(head),
                overrides=self.overrides,
            )
            return results[len(before) :]
        except RefusedError:
            if len(running) == 1 and not before:
                raise
        if len(running) == 1:
            return await self._results(running, (), head)
        middle = len(running) // 2
        first = await self._results(running[:middle], before, head)
        good = [one for one, result in zip(running, first, strict=False) if result.success]
        return [*first, *await self._results(running[middle:], (*before, *good), head)]

    def _verdict(self, intent: Intent, result: Simulated) -> Verdict:
        """Return what a run found; a fault in reading it is its own deployment's alone."""
        try:
            decoders = self.auditor_of(intent.deployment).decoders
            brought = received(result.logs, decoders.wrapped_native, decoders.recipient)
        except (InvariantError, StaleError, TransientError):
            raise
        except Exception as error:  # noqa: BLE001 - the others do not wait for it
            self.on_stuck(intent, error)
            return UNREAD
        return Verdict(
            success=result.success,
            received=brought,
            gas_used=result.gas_used,
            error=result.error,
        )

    def judged(
        self,
        newest: Submission,
        one: Airborne,
        verdict: Verdict | None,
        head: BlockRef,
        exposure: Exposure,
    ) -> tuple[Purpose, int]:
        """Return what the intent's next transaction is for, and the most that it may offer."""
        if verdict is not None and verdict.success and one.intent.forced:
            if one.intent.deployment in self.limits.forced:
                return Purpose.LIQUIDATE, self._bid(one, exposure)
        elif verdict is not None and verdict.success:
            paid_for = break_even(
                verdict.received - one.data_cost.wei,
                gas_used=verdict.gas_used + one.data_cost.gas,
                min_profit=sum(max(self.limits.min_profit, n) for n in one.intent.least_nets),
            )
            price = min(newest.fees.max_fee, next_base_fee(head) + newest.fees.priority_fee)
            if paid_for >= price:
                return Purpose.LIQUIDATE, min(self._bid(one, exposure), paid_for)
        return Purpose.CANCEL, self._cancelling(one, exposure)

    def _cancelling(self, one: Airborne, exposure: Exposure) -> int:
        """Return the most per gas for what cancels, wei.

        What costs no more than what it cancels takes nothing from a budget: else what is out beyond
        one, which was lowered or which a reorg brought it back to, would never be cancelled.
        """
        at_no_more = max(one.worst_gas - one.data_cost.wei, 0) // one.cancel_gas
        return max(
            self.cap(one, one.cancel_gas, exposure), min(self.limits.max_gas_price, at_no_more)
        )

    def _bid(self, one: Airborne, exposure: Exposure) -> int:
        """Return the most per gas for a liquidation, wei: what cancels it has to fit above."""
        return min(self.cap(one, one.gas_limit, exposure), self.limits.max_bid)

    def cap(self, one: Airborne, gas_limit: int, exposure: Exposure) -> int:
        """Return the most per gas that the limits leave for one transaction, wei."""
        limits = self.limits
        others = exposure.at_stake - one.worst_gas
        left = min(
            limits.max_gas_per_tx,
            limits.max_gas_per_hour - exposure.spent_hour - others,
            limits.max_gas_per_day - exposure.spent_day - others,
            self._over_floor(one, exposure),
        )
        if exposure.left_of_totals is not None:
            left = min(left, one.worst_gas + exposure.left_of_totals)
        if one.intent.forced:
            left = min(left, self._forced_left(one, exposure))
        return min(limits.max_gas_price, max(left - one.data_cost.wei, 0) // gas_limit)

    def _over_floor(self, one: Airborne, exposure: Exposure) -> int:
        """Return the most that leaves its sender the balance floor, wei; at least what is at stake.

        What costs no more than the one that it replaces takes nothing from the floor.
        """
        newest = one.intent.submission
        if exposure.balances is None or newest is None:
            return self.limits.max_gas_per_tx
        left = exposure.left(newest.sender) + one.worst_gas - self.limits.min_balance
        return max(left, one.worst_gas)

    def _forced_left(self, one: Airborne, exposure: Exposure) -> int:
        """Return the most that the forced budget leaves for the gas of one transaction, wei.

        Where forced mode was switched off, what is left to do is a cancellation: ordinary gas.
        """
        found = self.limits.forced.get(one.intent.deployment)
        if found is None:
            return self.limits.max_gas_per_tx
        others = exposure.forced_taken(one.intent.deployment) - one.worst_gas
        return min(found.max_loss_per_tx, found.max_loss_per_day - others)


def _barred(why: str) -> Verdict:
    return Verdict(success=False, received=0, gas_used=0, error="", barred=why)


def why(one: Airborne, verdict: Verdict | None) -> str:
    """Say why a transaction is cancelled."""
    if one.intent.status is Status.UNDONE:
        return "a reorg undid it, and its account has another intent by now"
    if verdict is None:
        return "sending is halted"
    if verdict.barred:
        return verdict.barred
    if verdict is UNREAD:
        return "its deployment cannot read what it would do"
    return "it would not pay any more" if verdict.success else f"it would revert: {verdict.error}"
