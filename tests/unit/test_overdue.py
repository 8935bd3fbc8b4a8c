"""What is done about a transaction that missed its block, and in which order."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from keeper.core.chain import DataCost, Fees, Transaction, next_base_fee
from keeper.core.errors import TransientError
from keeper.core.gas_limit import CANCEL_GAS
from keeper.core.plan import Intent, Outcome, Plan, Purpose, Status, Submission
from keeper.core.units import WAD, Address
from keeper.core.values import replace
from keeper.evm.signed_transaction import decode_signed
from keeper.executor.breaker import BreakerLimits
from keeper.executor.flight import Flight
from keeper.executor.ladder import bumped
from keeper.executor.lanes.lane import Delivery, Refused, Taken, Uncertain
from keeper.executor.nonce import NonceKeeper
from keeper.executor.policy import Exposure, worst_gas
from keeper.executor.settler import GRACE_S, Auditor, dropped
from keeper.executor.signing import SigningDesk
from keeper.executor.standing import Standing, Triggers
from keeper.executor.tending import (
    CANCELLED,
    GIVEN_UP,
    KEY_USED,
    NOT_REPLACED,
    RAISED,
    RESENT,
    Means,
    Patience,
    Tender,
)
from keeper.ledger.books import read_books
from keeper.ledger.journal import SqliteJournal
from tests.support.disarmed import LIMITS
from tests.support.eventually import PATIENCE_S
from tests.support.fake_wire import FakeWire
from tests.support.ledger_records import EXECUTOR, VALUATION, block, hash32, opened, plan
from tests.support.rehearsal_node import Node, decoders, done, failed
from tests.support.signed_plans import SIGNER, signed

HEAD = block(101)
"""The target of what was sent; there it is overdue after no patience."""
GWEI = 10**9
NOBODY = BreakerLimits(max_reverts_in_row=None, max_loss_per_day=None, max_wasted_gas_per_hour=None)
OTHER = Address("0x" + "0b" * 20)


def made(number: int) -> Plan:
    transaction = Transaction(sender=SIGNER.address, to=EXECUTOR, data=bytes([number]))
    return replace(plan(number), transaction=transaction)


ONE, TWO = made(1), made(2)
BY_TRANSACTION = {one.transaction: one for one in (ONE, TWO)}


@dataclass
class WatchedLane:
    """A lane that sees whether what it is given is on disk."""

    journal: SqliteJournal
    public: bool = True
    expires: bool = False
    name: str = "mempool"
    answer: Delivery = field(default_factory=Taken)
    sent: list[Submission] = field(default_factory=list)
    asked: int = 0
    withdrawn: list[Submission] = field(default_factory=list)

    async def send(
        self, submissions: Sequence[Submission], *, lead: bytes | None = None
    ) -> list[Delivery]:
        assert lead is None
        self.asked += 1
        on_disk = await self.journal.open_submissions()
        assert all(one in on_disk for one in submissions), "as it is, with the block it aims at"
        self.sent += submissions
        return [self.answer] * len(submissions)

    async def withdraw(self, submission: Submission) -> bool:
        self.withdrawn.append(submission)
        return True


@dataclass(slots=True)
class CountingOn(FakeWire):
    """A node that counts one more nonce after so many questions for it."""

    grows_after: int = 10**6

    async def nonce(self, sender: Address, *, pending: bool) -> int:
        found = await FakeWire.nonce(self, sender, pending=pending)
        return found + (len(self.asked_nonces) > self.grows_after)


class Yard:
    """A tender over a real journal, real signatures and a chain by hand."""

    def __init__(self, journal: SqliteJournal, folder: Path) -> None:
        self.journal = journal
        self.halt_file = folder / "halt"
        self.wire = CountingOn(used=5)
        self.flight = Flight()
        self.lane = WatchedLane(journal)
        self.node = Node(lambda _, one: done(BY_TRANSACTION[one]))
        self.patience = Patience(
            replace_after_blocks=0, block_time_s=12, halt_on_foreign_nonce=True
        )
        self.limits = LIMITS
        self.settled: list[tuple[Intent, Outcome]] = []
        self.desk = SigningDesk(
            chain_id=31337,
            signer=SIGNER,
            wire=self.wire,
            nonces=NonceKeeper(self.wire, SIGNER.address, highest=9),
        )
        triggers = Triggers(breaker=NOBODY, halt_file=self.halt_file)
        self.standing = Standing(journal, triggers, now=lambda: 0.0)

    async def value_at(self, *_: object) -> Any:
        return VALUATION

    def tender(self) -> Tender:
        means = Means(
            wire=self.wire,
            simulator=self.node,
            journal=self.journal,
            flight=self.flight,
            desk=self.desk,
            lane=self.lane,
            limits=self.limits,
            auditor_of=lambda _: Auditor(decoders=decoders(), value_at=self.value_at),
            on_stuck=lambda *_: None,
            overrides={},
        )
        return Tender(
            means,
            self.patience,
            self.standing,
            on_settled=lambda intent, outcome: self.settled.append((intent, outcome)),
        )

    async def send(self, of: Plan, nonce: int, *, lane: str = "mempool") -> Submission:
        """Journal a transaction as sent, and let the node have it."""
        submission = replace(signed(of, nonce), lane=lane)
        await self.journal.seal([(of, submission)])
        await self.journal.record_all_sent([submission])
        self.flight.took_off(of, submission)
        self.desk.nonces.used(nonce)
        self.wire.pending.add(submission.tx_hash)
        return submission

    async def tend(
        self, number: int = HEAD.number, *, timestamp: int | None = None, **exposed: Any
    ) -> list[Submission]:
        """Tend once; return what went out by the lane."""
        head = block(number)
        head = head if timestamp is None else replace(head, timestamp=timestamp)
        before = len(self.lane.sent)
        exposure = Exposure(
            spent_hour=0,
            spent_day=0,
            at_stake=0,
            in_flight=0,
            busy=frozenset(),
            balances={SIGNER.address: 100 * WAD},
        )
        exposure = replace(exposure, **exposed)
        await self.tender().tend(head, exposure.by_now(self.flight))
        return self.lane.sent[before:]

    def fails(self, *plans: Plan) -> None:
        """Have these revert when they are run again."""
        losers = {one.transaction for one in plans}
        self.node.answer = lambda _, one: (
            failed("healthy") if one in losers else done(BY_TRANSACTION[one])
        )

    async def newest(self) -> list[Submission]:
        """Return the newest transaction of each open intent, as the journal has it."""
        return [one.attempts[0] for one in await self.journal.open_intents()]


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    journal = await opened(tmp_path)
    yard = Yard(journal, tmp_path)
    yield yard
    await yard.journal.close()


def recorded(folder: Path, one: Submission) -> str:
    """Return how the journal has a transaction."""
    with closing(sqlite3.connect(folder / "keeper.sqlite")) as db:
        query = "SELECT status FROM submissions WHERE tx_hash = ?"
        found: str = db.execute(query, (one.tx_hash,)).fetchone()[0]
        return found


def decoded(one: Submission) -> tuple[Address, bytes, int, int]:
    """Return what the signed bytes do: whom they call, with what, gas limit and nonce."""
    found = decode_signed(one.raw, sender=SIGNER.address)
    return found.transaction.to, found.transaction.data, found.gas_limit, found.nonce


async def test_what_still_pays_is_replaced_by_its_next_rung_under_its_own_nonce(
    yard: Yard,
) -> None:
    first = await yard.send(ONE, 5)
    yard.wire.queued = 3  # what waits with the node has used no nonce
    with capture_logs() as lines:
        (rung,) = await yard.tend()
    assert rung.purpose is Purpose.LIQUIDATE
    assert [one for one in lines if one["event"] == GIVEN_UP] == []
    assert decoded(rung) == (EXECUTOR, ONE.transaction.data, ONE.gas_limit, 5)
    assert rung.fees == Fees(max_fee=bumped(first.fees.max_fee), priority_fee=1_100_000_000)
    assert rung.target_block == HEAD.number + 1
    assert yard.flight.airborne[ONE.id].intent.attempts == (rung, first)
    (intent,) = await yard.journal.open_intents()
    assert (intent.status, [one.tx_hash for one in intent.attempts]) == (
        Status.SENT,
        [rung.tx_hash, first.tx_hash],
    )
    assert yard.node.environment == (HEAD, block(102).timestamp, next_base_fee(HEAD))


async def test_what_would_revert_gives_its_nonce_to_a_transfer_of_nothing(yard: Yard) -> None:
    await yard.send(ONE, 5)
    yard.fails(ONE)
    with capture_logs() as lines:
        (cancel,) = await yard.tend()
    assert cancel.purpose is Purpose.CANCEL
    assert decoded(cancel) == (SIGNER.address, b"", CANCEL_GAS + 102, 5)
    assert [one["why"] for one in lines if one["event"] == GIVEN_UP] == ["it would revert: healthy"]
    assert (await yard.newest())[0].purpose is Purpose.CANCEL
    # Its cancellation is raised and raised again; that it was given up is said once.
    with capture_logs() as lines:
        (again,) = await yard.tend(102)
    assert (again.purpose, again.nonce) == (Purpose.CANCEL, 5)
    assert [one for one in lines if one["event"] == GIVEN_UP] == []
    assert len(yard.node.rounds) == 1


async def test_what_is_given_up_is_asked_back_with_all_its_rungs_and_once(yard: Yard) -> None:
    first = await yard.send(ONE, 5)
    (rung,) = await yard.tend()
    yard.fails(ONE)
    await yard.tend(102)
    await yard.tend(103)
    assert yard.lane.withdrawn == [rung, first], "not what cancels them"


async def test_what_is_asked_back_waits_for_no_answer_to_another(yard: Yard) -> None:
    first, second = await yard.send(ONE, 5), await yard.send(TWO, 6)
    yard.fails(ONE, TWO)
    asked = {one.tx_hash: asyncio.Event() for one in (first, second)}

    async def withdraw(one: Submission) -> bool:
        asked[one.tx_hash].set()
        for other in asked.values():
            await other.wait()
        return True

    yard.lane.withdraw = withdraw  # type: ignore[method-assign]
    await asyncio.wait_for(yard.tend(), PATIENCE_S)


async def test_nobody_is_cleared_of_using_the_key_by_a_question_without_an_answer(
    yard: Yard,
) -> None:
    await yard.send(ONE, 5)
    yard.wire.used = 12
    answered, yard.journal.signed_with = yard.journal.signed_with, silent
    with pytest.raises(TransientError):
        await yard.tend()
    yard.journal.signed_with = answered
    await yard.tend(102)
    assert "nonce 10 was used" in (yard.standing.halted or "")


async def silent(*_: object) -> Any:
    raise TransientError("expected an answer, found none")


async def test_nothing_is_touched_before_it_is_overdue(yard: Yard) -> None:
    await yard.send(ONE, 5)
    yard.patience = replace(yard.patience, replace_after_blocks=2)
    assert await yard.tend(102) == []
    assert yard.node.rounds == []
    assert len(await yard.tend(103)) == 1


async def test_once_halted_all_is_cancelled_at_once_and_nothing_run_again(yard: Yard) -> None:
    await yard.send(ONE, 5)
    await yard.send(TWO, 6)
    yard.patience = replace(yard.patience, replace_after_blocks=9)
    yard.halt_file.touch()
    with capture_logs() as lines:
        out = await yard.tend(100)
    assert [(one.nonce, one.purpose) for one in out] == [(5, Purpose.CANCEL), (6, Purpose.CANCEL)]
    assert yard.node.rounds == []
    assert {one["why"] for one in lines if one["event"] == GIVEN_UP} == {"sending is halted"}


async def test_what_a_rollup_charges_for_data_is_known_after_a_restart(
    yard: Yard, tmp_path: Path
) -> None:
    charged = replace(ONE, data_cost=DataCost(wei=10**12, gas=9_000))
    await yard.send(charged, 5)
    before = yard.flight
    await yard.journal.close()
    yard.lane.journal = yard.journal = await opened(tmp_path)
    yard.flight = Flight(await yard.journal.open_intents())
    assert yard.flight.airborne == before.airborne
    assert yard.flight.staked == before.staked == {SIGNER.address: worst_gas(charged)}
    yard.fails(ONE)
    (cancel,) = await yard.tend()
    assert decoded(cancel)[2] == CANCEL_GAS + 102 + 9_000


async def test_what_is_in_a_block_or_another_signers_is_left_alone(yard: Yard) -> None:
    await yard.send(ONE, 5)
    two = await yard.send(TWO, 6)
    foreign = replace(two, sender=OTHER, tx_hash=hash32(7), plan_id="elsewhere")
    yard.flight.took_off(replace(plan(3), id="elsewhere"), foreign)
    yard.wire.used = 6
    assert [one.nonce for one in await yard.tend()] == [6]
    assert yard.node.rounds == [[TWO.transaction]]


async def test_what_landed_while_it_was_run_again_is_not_replaced(yard: Yard) -> None:
    first = await yard.send(ONE, 5)
    yard.wire.grows_after = 1
    assert await yard.tend() == []
    assert await yard.newest() == [first]
    assert yard.flight.airborne[ONE.id].intent.attempts == (first,)


async def test_what_the_node_lost_goes_out_again_as_it_is_for_the_next_block(yard: Yard) -> None:
    first = await yard.send(ONE, 5)
    yard.wire.pending.clear()
    with capture_logs() as lines:
        (again,) = await yard.tend()
    assert (again.raw, again.target_block) == (first.raw, HEAD.number + 1)
    assert yard.flight.airborne[ONE.id].intent.attempts == (again,)
    assert len(await yard.journal.open_submissions()) == 1
    assert [one["plan"] for one in lines if one["event"] == RESENT] == [ONE.id]
    assert await yard.tend() == [], "it aims at the next block now"


async def test_a_liquidation_that_the_node_lost_is_not_sent_again_where_it_would_revert(
    yard: Yard,
) -> None:
    await yard.send(ONE, 5)
    yard.wire.pending.clear()
    yard.fails(ONE)
    (cancel,) = await yard.tend()
    assert cancel.purpose is Purpose.CANCEL


@pytest.mark.parametrize("what", [RESENT, RAISED, CANCELLED])
async def test_what_goes_out_again_is_told_under_what_it_is_for(yard: Yard, what: str) -> None:
    await yard.send(ONE, 5)
    if what == RESENT:
        yard.wire.pending.clear()
    if what == CANCELLED:
        yard.fails(ONE)
    yard.lane.answer = Refused(why="underpriced")
    with capture_logs() as lines:
        (out,) = await yard.tend()
    (told,) = [one for one in lines if one["event"] in (RESENT, RAISED, CANCELLED)]
    assert (told["event"], told["plan"], told["tx"]) == (what, ONE.id, out.tx_hash)
    assert (told["nonce"], told["max_fee_wei"]) == (5, out.fees.max_fee)
    assert told["problem"] == "underpriced"


async def test_what_no_limit_leaves_a_rung_for_stays_as_it_is(yard: Yard) -> None:
    first = await yard.send(ONE, 5)
    yard.limits = replace(LIMITS, max_gas_price=bumped(first.fees.max_fee) - 1)
    with capture_logs() as lines:
        assert await yard.tend() == []
    assert yard.lane.asked == 0
    assert await yard.newest() == [first]
    assert [one["cap"] for one in lines if one["event"] == NOT_REPLACED] == [yard.limits.max_bid]


async def test_what_stands_at_the_top_of_the_ladder_can_still_be_cancelled(yard: Yard) -> None:
    first = await yard.send(ONE, 5)
    yard.limits = replace(LIMITS, max_gas_price=2 * first.fees.max_fee)
    number = HEAD.number
    while await yard.tend(number):
        number += 1
    top = (await yard.newest())[0]
    assert top.purpose is Purpose.LIQUIDATE
    assert top.fees.max_fee > first.fees.max_fee
    yard.fails(ONE)
    (cancel,) = await yard.tend(number)
    assert cancel.purpose is Purpose.CANCEL
    assert bumped(top.fees.max_fee) <= cancel.fees.max_fee <= yard.limits.max_gas_price
    assert bumped(top.fees.priority_fee) <= cancel.fees.priority_fee


async def test_many_cancellations_leave_each_other_room_in_a_budget_that_is_taken(
    yard: Yard,
) -> None:
    first, second = await yard.send(ONE, 5), await yard.send(TWO, 6)
    dear = yard.flight.airborne[ONE.id]
    yard.flight.replaced(
        replace(
            first,
            purpose=Purpose.CANCEL,
            tx_hash=hash32(9),
            fees=Fees(max_fee=2 * first.fees.max_fee, priority_fee=2 * first.fees.priority_fee),
        )
    )
    staked = ONE.gas_limit * (first.fees.max_fee + second.fees.max_fee)
    yard.limits = replace(LIMITS, max_gas_per_hour=staked)
    yard.fails(ONE, TWO)
    assert dear is not yard.flight.airborne[ONE.id]
    assert [one.nonce for one in await yard.tend()] == [5, 6]


@pytest.mark.parametrize("budget", ["max_gas_per_tx", "max_gas_per_hour", "max_gas_per_day"])
async def test_what_is_out_beyond_a_budget_is_cancelled_and_offered_no_more_for(
    yard: Yard, budget: str
) -> None:
    # It was lowered since, or a reorg brought back what the budget had been given to again.
    await yard.send(ONE, 5)
    await yard.send(TWO, 6)
    yard.limits = replace(LIMITS, **{budget: 1})
    assert await yard.tend() == []
    worst = {one.intent.plan_id: one.worst_gas for one in yard.flight.airborne.values()}
    yard.fails(ONE, TWO)
    out = await yard.tend()
    assert [(one.nonce, one.purpose) for one in out] == [(5, Purpose.CANCEL), (6, Purpose.CANCEL)]
    for one in out:
        assert one.fees.max_fee * decoded(one)[2] <= worst[one.plan_id]


async def test_what_one_rung_takes_of_a_budget_is_not_there_for_the_next(yard: Yard) -> None:
    first, second = await yard.send(ONE, 5), await yard.send(TWO, 6)
    staked = ONE.gas_limit * (first.fees.max_fee + second.fees.max_fee)
    more = ONE.gas_limit * (bumped(first.fees.max_fee) - first.fees.max_fee)
    yard.limits = replace(LIMITS, max_gas_per_hour=staked + 2 * more - 1)
    assert [one.nonce for one in await yard.tend()] == [6]
    yard.limits = replace(LIMITS, max_gas_per_hour=staked + 2 * more)
    assert [one.nonce for one in await yard.tend()] == [5]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Taken(), Status.SENT),
        (Refused(why="underpriced"), Status.SIGNED),
        (Uncertain(why="timeout"), Status.SIGNED),
    ],
)
async def test_a_rung_counts_as_sent_once_it_was_taken(
    yard: Yard, tmp_path: Path, answer: Delivery, status: Status
) -> None:
    await yard.send(ONE, 5)
    yard.lane.answer = answer
    (rung,) = await yard.tend()
    assert recorded(tmp_path, rung) == status
    assert yard.flight.held(SIGNER.address) == {5}


async def test_a_transaction_of_another_lane_goes_out_by_none(yard: Yard) -> None:
    await yard.send(ONE, 5, lane="a relay")
    await yard.send(TWO, 6)
    with capture_logs() as lines:
        assert [one.nonce for one in await yard.tend()] == [6]
    assert [(one["plan"], one["why"]) for one in lines if one["event"] == NOT_REPLACED] == [
        (ONE.id, "it belongs to lane a relay, this is mempool")
    ]


@pytest.mark.parametrize("expires", [False, True])
async def test_what_another_lane_left_is_cancelled_by_this_one_after_its_deadline(
    yard: Yard, *, expires: bool
) -> None:
    yard.lane.expires = expires
    await yard.send(ONE, 5, lane="a relay")
    await yard.send(TWO, 6)
    yard.fails(ONE)
    late = ONE.deadline + GRACE_S
    assert [one.nonce for one in await yard.tend(timestamp=late)] == [6]
    (cancelled,) = [one for one in await yard.tend(timestamp=late + 1) if one.nonce == 5]
    assert (cancelled.purpose, cancelled.lane) == (Purpose.CANCEL, "mempool")


async def test_what_another_lane_left_never_goes_out_by_this_one_as_it_is(yard: Yard) -> None:
    await yard.send(ONE, 5, lane="a relay")
    assert await yard.tend(timestamp=ONE.deadline + GRACE_S + 1) == []


@pytest.fixture
def bundling(yard: Yard) -> Yard:
    """What goes out is for one block only, and is gone with it."""
    yard.lane.public, yard.lane.expires, yard.lane.name = False, True, "relay"
    return yard


async def test_what_still_pays_is_offered_again_for_the_next_block(bundling: Yard) -> None:
    first = await bundling.send(ONE, 5, lane="relay")
    (again,) = await bundling.tend()
    assert (again.raw, again.target_block) == (first.raw, HEAD.number + 1)
    assert bundling.lane.withdrawn == []


async def test_a_restart_does_not_give_up_a_bundle_whose_newest_block_is_still_to_come(
    bundling: Yard, tmp_path: Path
) -> None:
    await bundling.send(ONE, 5, lane="relay")
    await bundling.tend(101)
    await bundling.journal.close()
    bundling.lane.journal = bundling.journal = await opened(tmp_path)
    bundling.flight = Flight(await bundling.journal.open_intents())
    bundling.fails(ONE)
    await bundling.tend(101)
    assert list(bundling.flight.airborne) == [ONE.id], "it may land in block 102"
    await bundling.tend(102)
    assert bundling.flight.airborne == {}


async def test_what_would_revert_is_taken_back_and_over_with_its_block(
    bundling: Yard, tmp_path: Path
) -> None:
    first = await bundling.send(ONE, 5, lane="relay")
    bundling.fails(ONE)
    with capture_logs() as lines:
        assert await bundling.tend() == []
    assert [one["why"] for one in lines if one["event"] == GIVEN_UP] == ["it would revert: healthy"]
    assert bundling.lane.withdrawn == [first]
    assert bundling.flight.airborne == {}
    ((intent, outcome),) = bundling.settled
    assert (intent.plan_id, outcome.status) == (ONE.id, Status.DROPPED)
    assert outcome.detail == "not included; it would revert: healthy"
    assert await bundling.journal.open_intents() == []
    (entry,) = read_books(tmp_path / "keeper.sqlite").entries
    assert (entry.status, entry.realised.net) == (Status.DROPPED, 0)
    assert await bundling.desk.nonces.take(1, ()) == [5], "its nonce is free again"


async def test_while_its_block_may_come_it_is_no_more_than_taken_back(bundling: Yard) -> None:
    first = await bundling.send(ONE, 5, lane="relay")
    bundling.halt_file.touch()
    assert await bundling.tend(100) == []
    assert bundling.lane.withdrawn == [first]
    assert list(bundling.flight.airborne) == [ONE.id]
    assert bundling.settled == []


async def test_below_one_whose_block_may_come_it_is_not_over_either(bundling: Yard) -> None:
    await bundling.send(ONE, 5, lane="relay")
    later = replace(signed(TWO, 6), lane="relay", target_block=102)
    await bundling.journal.seal([(TWO, later)])
    bundling.flight.took_off(TWO, later)
    bundling.halt_file.touch()
    assert await bundling.tend(101) == []
    assert [one.nonce for one in bundling.lane.withdrawn] == [6, 5]
    assert set(bundling.flight.airborne) == {ONE.id, TWO.id}, "no nonce is free below another"
    assert await bundling.tend(102) == []
    assert bundling.flight.airborne == {}


async def test_below_one_that_stays_a_nonce_is_filled_and_not_given_up(bundling: Yard) -> None:
    await bundling.send(ONE, 5, lane="relay")
    await bundling.send(TWO, 6, lane="relay")
    bundling.fails(ONE)
    out = await bundling.tend()
    assert [(one.nonce, one.purpose) for one in out] == [
        (5, Purpose.CANCEL),
        (6, Purpose.LIQUIDATE),
    ]
    assert set(bundling.flight.airborne) == {ONE.id, TWO.id}
    assert bundling.lane.withdrawn == [], "what cancels it goes under the same UUID"


async def test_above_one_that_stays_it_is_given_up_alone(bundling: Yard) -> None:
    await bundling.send(ONE, 5, lane="relay")
    await bundling.send(TWO, 6, lane="relay")
    bundling.fails(TWO)
    out = await bundling.tend()
    assert [(one.nonce, one.purpose) for one in out] == [(5, Purpose.LIQUIDATE)]
    assert set(bundling.flight.airborne) == {ONE.id}


async def test_below_one_that_is_not_overdue_yet_a_nonce_is_filled(bundling: Yard) -> None:
    await bundling.send(ONE, 5, lane="relay")
    later = replace(signed(TWO, 6), lane="relay", target_block=102)
    await bundling.journal.seal([(TWO, later)])
    bundling.flight.took_off(TWO, later)
    bundling.fails(ONE)
    assert [(one.nonce, one.purpose) for one in await bundling.tend()] == [(5, Purpose.CANCEL)]


async def test_a_key_that_somebody_else_used_halts_all_sending(yard: Yard) -> None:
    yard.wire.used = 11
    with capture_logs() as lines:
        await yard.tend()
    assert yard.standing.halted == (
        f"key of {SIGNER.address}: nonce 10 was used by a transaction that is not ours"
    )
    assert [(one["nonce"], one["while_off"]) for one in lines if one["event"] == KEY_USED] == [
        (10, False)
    ]


async def test_where_the_operator_says_so_another_user_of_the_key_is_no_more_than_told(
    yard: Yard,
) -> None:
    yard.patience = replace(yard.patience, halt_on_foreign_nonce=False)
    yard.wire.used = 11
    with capture_logs() as lines:
        await yard.tend()
    assert yard.standing.halted is None
    assert [one["nonce"] for one in lines if one["event"] == KEY_USED] == [10]


async def test_whoever_finds_that_somebody_else_used_the_key_halts(yard: Yard) -> None:
    yard.tender().used_elsewhere(5)
    assert "nonce 5 was used" in (yard.standing.halted or "")


async def test_a_key_that_was_used_while_no_keeper_ran_is_told_and_halts_nothing(
    yard: Yard,
) -> None:
    yard.wire.used = 11
    with capture_logs() as lines:
        await yard.tender().begin()
    assert [(one["nonce"], one["while_off"]) for one in lines if one["event"] == KEY_USED] == [
        (10, True)
    ]
    with capture_logs() as lines:
        await yard.tend()
    assert [one for one in lines if one["event"] == KEY_USED] == []
    assert yard.standing.halted is None


async def given_up(yard: Yard, nonce: int) -> Submission:
    """Return a transaction that was sent, and is in the books as dropped."""
    sent = await yard.send(TWO, nonce)
    intent = yard.flight.airborne[TWO.id].intent
    await yard.journal.settle(dropped(intent, "lost"))
    yard.flight.landed(TWO.id)
    yard.desk.nonces.released(nonce)
    return sent


async def test_what_was_given_up_and_lands_is_waited_for_as_long_as_its_receipt_is_late(
    yard: Yard,
) -> None:
    late = await given_up(yard, 10)
    yard.wire.used = 10
    assert await yard.desk.nonces.take(1, ()) == [10]
    yard.wire.used = 11
    await yard.tend(101)
    assert await yard.desk.nonces.take(1, ()) == [11], "whoever used it"
    assert yard.standing.halted is None
    yard.wire.include(late.tx_hash, 101)
    await yard.tend(102)
    assert yard.standing.halted is None
    assert not yard.desk.nonces.unaccounted(11), "it is not asked for again"


async def test_what_nobody_has_a_receipt_of_in_the_end_is_somebody_else_s(yard: Yard) -> None:
    await given_up(yard, 10)
    yard.wire.used = 11
    await yard.tend(101)
    assert yard.standing.halted is None
    with capture_logs() as lines:
        await yard.tend(102)
        await yard.tend(103)
    assert "nonce 10 was used" in (yard.standing.halted or "")
    assert [one["nonce"] for one in lines if one["event"] == KEY_USED] == [10]


async def test_what_is_surely_somebody_else_s_is_said_beside_what_is_not_clear(yard: Yard) -> None:
    await given_up(yard, 10)
    yard.wire.used = 12
    await yard.tend(101)
    assert "nonce 11 was used" in (yard.standing.halted or "")


async def restarted(yard: Yard) -> None:
    """Forget what is in memory, and begin anew."""
    highest = await yard.journal.highest_nonce(SIGNER.address)
    nonces = NonceKeeper(yard.wire, SIGNER.address, highest=highest)
    yard.desk = SigningDesk(chain_id=31337, signer=SIGNER, wire=yard.wire, nonces=nonces)
    await yard.tender().begin()


async def test_what_was_given_up_and_lands_while_no_keeper_runs_is_no_use_by_others(
    yard: Yard,
) -> None:
    await yard.send(ONE, 9)
    late = await given_up(yard, 10)
    yard.wire.used = 11
    yard.wire.include(late.tx_hash, 101)
    with capture_logs() as lines:
        await restarted(yard)
        await yard.tend(102)
    assert [one for one in lines if one["event"] == KEY_USED] == []


async def test_a_late_receipt_of_it_is_waited_for_after_the_start_too(yard: Yard) -> None:
    await yard.send(ONE, 9)
    await given_up(yard, 10)
    yard.wire.used = 11
    with capture_logs() as lines:
        await restarted(yard)
        await yard.tend(101)
    assert [one for one in lines if one["event"] == KEY_USED] == []
    with capture_logs() as lines:
        await yard.tend(102)
    assert [one["while_off"] for one in lines if one["event"] == KEY_USED] == [True]
    assert yard.standing.halted is None


async def test_a_key_that_nobody_else_used_is_not_said_to_be(yard: Yard) -> None:
    yard.wire.used, yard.wire.queued = 10, 2
    with capture_logs() as lines:
        await yard.tender().begin()
        await yard.tend()
    assert [one for one in lines if one["event"] == KEY_USED] == []
    assert yard.standing.halted is None


async def test_the_balance_is_that_of_the_key_as_it_was_read(yard: Yard) -> None:
    tender = yard.tender()
    exposure = Exposure(
        spent_hour=0,
        spent_day=0,
        at_stake=0,
        in_flight=0,
        busy=frozenset(),
        balances={SIGNER.address: 7, OTHER: 8},
    )
    assert (tender.address, tender.balance) == (SIGNER.address, None)
    await tender.tend(HEAD, exposure)
    assert tender.balance == 7
    await tender.tend(HEAD, replace(exposure, balances=None))
    assert tender.balance is None
