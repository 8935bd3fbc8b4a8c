"""The intents without an outcome, shared by the sending and the settling of one chain."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from keeper.core.chain import Transaction
from keeper.core.plan import Intent, Plan, Status, Submission
from keeper.core.units import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Airborne:
    """One open intent. ``transaction`` is None for an intent of an earlier run."""

    intent: Intent
    transaction: Transaction | None
    gas_limit: int = 0

    @property
    def worst_gas(self) -> int:
        """The most that it may still cost, wei."""
        submission = self.intent.submission
        return 0 if submission is None else self.gas_limit * submission.fees.max_fee


class Flight:
    """Open intents by plan id, oldest first."""

    def __init__(self, restored: Iterable[Intent] = ()) -> None:
        """Start with the intents that an earlier run left open."""
        self._open: dict[str, Airborne] = {
            intent.plan_id: Airborne(intent=intent, transaction=None) for intent in restored
        }
        self._changed = asyncio.Event()

    @property
    def airborne(self) -> Mapping[str, Airborne]:
        """The open intents by plan id."""
        return self._open

    @property
    def busy(self) -> frozenset[tuple[str, Address]]:
        """Market and account of every open intent."""
        return frozenset(
            (one.intent.ref.market, one.intent.ref.account) for one in self._open.values()
        )

    @property
    def at_stake(self) -> int:
        """The most that all of them may still cost, wei."""
        return sum(one.worst_gas for one in self._open.values())

    def transactions(self) -> tuple[Transaction, ...]:
        """Return the transactions of this run that are in flight, in order."""
        return tuple(one.transaction for one in self._open.values() if one.transaction)

    def took_off(self, plan: Plan, submission: Submission) -> None:
        """Add a plan that was signed and may be on the wire."""
        intent = Intent(
            plan_id=plan.id,
            deployment=plan.deployment,
            ref=plan.ref,
            status=Status.SENT,
            tip=plan.tip,
            deadline=plan.deadline,
            submission=submission,
        )
        self._open[plan.id] = Airborne(
            intent=intent, transaction=plan.transaction, gas_limit=plan.gas_limit
        )

    def landed(self, plan_id: str) -> None:
        """Remove an intent that has its outcome."""
        del self._open[plan_id]
        self._changed.set()

    async def drained(self) -> None:
        """Return once nothing is in flight."""
        while self._open:
            self._changed.clear()
            await self._changed.wait()
