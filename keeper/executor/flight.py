"""The intents without an outcome, shared by the sending and the settling of one chain."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from msgspec import Struct, field

from keeper.core.chain import Transaction
from keeper.core.lending import AccountRef
from keeper.core.plan import Companion, Intent, Plan, Status, Submission
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.executor.airborne import Airborne, restored

K = TypeVar("K")

_LATELY: Final = 256
"""Transactions that are remembered once they ran."""
NONE_RAN: Final[Mapping[Address, int]] = {}
"""Of senders of which nothing is known to have run."""


class Ended(Struct, frozen=True, kw_only=True):
    """The most that all intents with an outcome by now might have cost, wei.

    What was spent, read at one time, and what is at stake at a later one leave out whatever ended
    between the two. The difference of this makes up for it.
    """

    by_sender: Mapping[Address, int] = field(default_factory=dict)
    forced: Mapping[str, int] = field(default_factory=dict)
    """Of the forced ones, by deployment."""


class _Sums(Struct, frozen=True, kw_only=True):
    """What follows from the open intents together."""

    order: Sequence[tuple[Submission, Airborne]]
    busy: frozenset[tuple[str, Address]]
    at_stake: int
    staked: Mapping[Address, int]
    forced_staked: Mapping[str, int]
    held: Mapping[Address, frozenset[int]]
    lately: frozenset[Address]


class Flight:
    """Open intents by plan id, oldest first."""

    def __init__(self, open_intents: Iterable[Intent] = ()) -> None:
        """Start with the intents that an earlier run left open."""
        self._open: dict[str, Airborne] = {one.plan_id: restored(one) for one in open_intents}
        self._ran: deque[tuple[Submission, Airborne]] = deque(maxlen=_LATELY)
        self._reverted: deque[AccountRef] = deque(maxlen=_LATELY)
        self._ended = Ended()
        self._changed = asyncio.Event()
        self._sums: _Sums | None = None
        self.changes = 0
        """Grows with every change: while it is the same, so is all that is asked here."""
        self.numbering = False
        """True while nonces are being taken: nobody else may then."""
        self._numbering = asyncio.Lock()
        self.closing: set[str] = set()
        """Plans whose end is being entered in the books: nobody else may end them."""

    @property
    def airborne(self) -> Mapping[str, Airborne]:
        """The open intents by plan id."""
        return self._open

    @property
    def busy(self) -> frozenset[tuple[str, Address]]:
        """Market and account of every open intent."""
        return self._summed().busy

    @property
    def at_stake(self) -> int:
        """The most that all of them may still cost, wei."""
        return self._summed().at_stake

    @property
    def staked(self) -> Mapping[Address, int]:
        """The most that those of each sender may still cost, wei."""
        return self._summed().staked

    @property
    def forced_staked(self) -> Mapping[str, int]:
        """The most that forced ones may still lose, wei, by deployment."""
        return self._summed().forced_staked

    def in_order(self) -> Sequence[tuple[Submission, Airborne]]:
        """Return the open intents with their newest transaction, by nonce within each sender."""
        return self._summed().order

    def held(self, sender: Address) -> frozenset[int]:
        """Return the nonces that open intents of a sender hold."""
        return self._summed().held.get(sender, frozenset())

    def holds_up(self, lowest: Submission) -> bool:
        """Return whether another one of its sender has a higher nonce."""
        return any(
            one.sender == lowest.sender and one.nonce > lowest.nonce for one, _ in self.in_order()
        )

    def _summed(self) -> "_Sums":
        """Return what is asked again and again, worked out once for each change."""
        if self._sums is None:
            self._sums = _sums(self._open.values(), self._ran)
        return self._sums

    def _put(self, plan_id: str, one: Airborne) -> None:
        self._open[plan_id] = one
        self._change()

    def _change(self) -> None:
        self._sums = None
        self.changes += 1

    def transactions(self, nonces: Mapping[Address, int] = NONE_RAN) -> tuple[Transaction, ...]:
        """Return the liquidations in flight, in the order in which they will run.

        ``nonces`` are the senders' next ones at a head: what ran there waits for its outcome, and
        what ran since is to run there.
        """
        return tuple(one.transaction for one in self._to_run(nonces) if one.transaction)

    def plan_ids(self, nonces: Mapping[Address, int]) -> frozenset[str]:
        """Return the plans, those that go with them included, whose ``transactions`` these are."""
        intents = [one.intent for one in self._to_run(nonces)]
        return frozenset(
            plan_id
            for one in intents
            for plan_id in (one.plan_id, *(other.plan_id for other in one.companions))
        )

    def _to_run(self, nonces: Mapping[Address, int]) -> list[Airborne]:
        ran = (pair for pair in self._ran if pair[0].sender in nonces)
        return [
            one
            for newest, one in (*ran, *self.in_order())
            if not one.cancelled and newest.nonce >= nonces.get(newest.sender, 0)
        ]

    def held_up(self, nonces: Mapping[Address, int], block: int) -> frozenset[Address]:
        """Return who has what missed its block by ``block``, where ``nonces`` are the next ones."""
        return frozenset(
            newest.sender
            for newest, one in self.in_order()
            if one.due <= block and newest.nonce >= nonces.get(newest.sender, newest.nonce + 1)
        )

    @property
    def senders(self) -> frozenset[Address]:
        """Return whose transactions are in flight."""
        return frozenset(self._summed().held)

    @property
    def lately(self) -> frozenset[Address]:
        """Return whose transactions ran lately."""
        return self._summed().lately

    @asynccontextmanager
    async def numbered(self) -> AsyncIterator[None]:
        """Let nobody else take nonces or open intents, from the look to the journal."""
        async with self._numbering:
            self.numbering = True
            try:
                yield
            finally:
                self.numbering = False

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
            forced=plan.forced,
            companions=tuple(
                Companion(
                    plan_id=one.id,
                    ref=one.ref,
                    valuation=one.valuation,
                    least_net=one.least_net,
                )
                for one in plan.companions
            ),
            data_cost=plan.data_cost,
            valuation=plan.valuation,
            least_net=plan.least_net,
        )
        flying = Airborne(
            intent=intent,
            transaction=plan.transaction,
            gas_limit=plan.gas_limit,
            due=submission.target_block,
        )
        self._put(plan.id, flying)

    def replaced(self, submission: Submission) -> None:
        """Add a further transaction of an open intent, of the same nonce."""
        before = self._open[submission.plan_id]
        intent = replace(
            before.intent,
            submission=submission,
            replaced=tuple(reversed(before.intent.attempts)),
        )
        self._put(submission.plan_id, replace(before, intent=intent))

    def reserve(self, plan_id: str, cost: int) -> None:
        """Count an open intent as costing so much, wei, while its next transaction is signed."""
        if plan_id in self._open:
            self._put(plan_id, replace(self._open[plan_id], reserved=cost))

    def retargeted(self, newest: Submission) -> None:
        """Take an intent's newest transaction as it aims now: at another block."""
        before = self._open[newest.plan_id]
        self._put(newest.plan_id, replace(before, intent=replace(before.intent, submission=newest)))

    def reopened(self, intent: Intent) -> None:
        """Add an intent whose outcome a reorg undid."""
        kept = [pair for pair in self._ran if pair[1].intent.plan_id != intent.plan_id]
        self._ran = deque(kept, maxlen=_LATELY)
        self._put(intent.plan_id, restored(intent))

    def landed(self, plan_id: str, *, ran: bool = False) -> None:
        """Remove an intent that has its outcome; who looks at an earlier head sees what ``ran``."""
        one = self._open.pop(plan_id)
        newest = one.intent.submission
        if newest is not None:
            self._end(one, newest.sender)
        if ran and newest is not None:
            self._ran.append((newest, one))
        self._change()
        self._changed.set()

    def _end(self, one: Airborne, sender: Address) -> None:
        ended, name = self._ended, one.intent.deployment
        forced = {name: one.worst_gas} if one.intent.forced else {}
        self._ended = Ended(
            by_sender=_added(ended.by_sender, {sender: one.worst_gas}),
            forced=_added(ended.forced, forced),
        )

    def reverted_together(self, refs: Iterable[AccountRef]) -> None:
        """Take note of the accounts of a batch that reverted: they go alone from now on.

        So whoever spoils one account of a batch can do so once.
        """
        self._reverted.extend(refs)

    @property
    def loners(self) -> frozenset[AccountRef]:
        """Return who goes alone; the latest few hundred are remembered."""
        return frozenset(self._reverted)

    @property
    def ended(self) -> Ended:
        """Return what has ended by now; to be taken before what was spent is read."""
        return self._ended

    def staked_since(self, ended: Ended) -> dict[Address, int]:
        """Return ``staked`` with what ended since, which may be missing from what was spent."""
        since = _added(self._ended.by_sender, ended.by_sender, sign=-1)
        return _added(self.staked, since)

    def forced_staked_since(self, ended: Ended) -> dict[str, int]:
        """Return ``forced_staked`` with what ended since."""
        return _added(self.forced_staked, _added(self._ended.forced, ended.forced, sign=-1))

    async def drained(self) -> None:
        """Return once nothing is in flight."""
        while self._open:
            self._changed.clear()
            await self._changed.wait()


def _sums(flying: Collection[Airborne], ran: Iterable[tuple[Submission, Airborne]]) -> _Sums:
    signed = [(one.intent.submission, one) for one in flying]
    found = [(newest, one) for newest, one in signed if newest is not None]
    order = sorted(found, key=lambda pair: pair[0].nonce)
    held, staked, forced = defaultdict[Address, set[int]](set), Counter[Address](), Counter[str]()
    for newest, one in order:
        held[newest.sender].add(newest.nonce)
        staked[newest.sender] += one.worst_gas
    for one in flying:
        if one.intent.forced:
            forced[one.intent.deployment] += one.worst_gas
    return _Sums(
        order=order,
        busy=frozenset((ref.market, ref.account) for one in flying for ref in one.intent.refs),
        at_stake=sum(one.worst_gas for one in flying),
        staked=dict(staked),
        forced_staked=dict(forced),
        held={sender: frozenset(nonces) for sender, nonces in held.items()},
        lately=frozenset(newest.sender for newest, _ in ran),
    )


def _added(one: Mapping[K, int], other: Mapping[K, int], sign: int = 1) -> dict[K, int]:
    return {key: one.get(key, 0) + sign * other.get(key, 0) for key in {*one, *other}}
