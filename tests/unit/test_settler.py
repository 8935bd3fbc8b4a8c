"""How intents end: by their receipt, by another's, or by time; and what the books get of it."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from keeper.core.accounting import gas_only
from keeper.core.chain import BlockRef, Log, Receipt, Transaction
from keeper.core.errors import (
    ConfigError,
    InvariantError,
    RefusedError,
    StaleError,
    TransientError,
)
from keeper.core.lending import AccountRef, Liquidation, Valuation
from keeper.core.plan import Intent, Outcome, Plan, Purpose, Status, Submission
from keeper.core.units import WAD, Address, Hash32
from keeper.core.values import replace
from keeper.executor.dividing import Decoders
from keeper.executor.flight import Flight
from keeper.executor.nonce import UNEXPLAINED_S
from keeper.executor.settlement import TRANSFER
from keeper.executor.settler import (
    GRACE_S,
    OUTCOME_UNREADABLE,
    OUTCOME_UNTOLD,
    REFUSED_SOFTLY,
    Auditor,
    Settler,
    dropped,
)
from keeper.ledger.journal import SqliteJournal
from keeper.protocols.compound_v2 import codec
from tests.support.fake_wire import FakeBlocks, FakeWire
from tests.support.ledger_records import (
    EXECUTOR,
    FEES,
    VALUATION,
    WETH,
    account,
    block,
    hash32,
    landed,
    opened,
    plan,
)
from tests.support.signed_plans import SIGNER, signed

RECIPIENT = account(77)
GAIN = 3 * WAD
GAS = 500_000 * (FEES.max_fee // 2) + 7
CONFIRMATIONS = 2


def word(value: Address) -> Hash32:
    return Hash32("0x" + value[2:].rjust(64, "0"))


GAINED = Log(
    address=WETH,
    topics=(TRANSFER, word(EXECUTOR), word(RECIPIENT)),
    data=GAIN.to_bytes(32),
    block_number=101,
    block_hash=hash32(101),
    tx_hash=hash32(1),
    index=0,
)


def made(number: int) -> Plan:
    transaction = Transaction(sender=SIGNER.address, to=EXECUTOR, data=bytes([number]))
    return replace(plan(number), transaction=transaction)


ONE, TWO = made(1), made(2)


def liquidations(_logs: Sequence[Log]) -> tuple[Liquidation, ...]:
    return landed(ONE, signed(ONE, 5)).liquidations


async def value_at(_block: BlockRef, _ref: AccountRef) -> Valuation:
    return VALUATION


def auditor(found: Callable[[Sequence[Log]], tuple[Liquidation, ...]]) -> Auditor:
    return Auditor(
        decoders=Decoders(
            liquidations=found,
            flash_fee=lambda _logs: None,
            wrapped_native=WETH,
            recipient=RECIPIENT,
        ),
        value_at=value_at,
    )


@dataclass(slots=True)
class AwayFor(FakeWire):
    """A node that goes away when it is asked for one receipt."""

    away: Hash32 = field(default_factory=lambda: hash32(0))
    error: Exception = field(default_factory=lambda: TransientError("gone"))

    async def receipt(self, tx_hash: Hash32) -> Receipt | None:
        if tx_hash == self.away:
            raise self.error
        return await FakeWire.receipt(self, tx_hash)


@dataclass
class Desk:
    """A settler over a real journal and a chain by hand."""

    journal: SqliteJournal
    wire: FakeWire = field(default_factory=lambda: FakeWire(used=5))
    flight: Flight = field(default_factory=Flight)
    foreign: list[Submission] = field(default_factory=list)
    liquidations: Callable[[Sequence[Log]], tuple[Liquidation, ...]] = liquidations
    blocks: FakeBlocks = field(default_factory=lambda: FakeBlocks(last=0))
    settler: Settler | None = None
    told: list[tuple[Intent, Outcome]] = field(default_factory=list)

    async def send(self, of: Plan, nonce: int) -> Submission:
        """Journal a transaction as sent, and let the node have it."""
        submission = signed(of, nonce)
        await self.journal.seal([(of, submission)])
        await self.journal.record_all_sent([submission])
        self.flight.took_off(of, submission)
        self.wire.pending.add(submission.tx_hash)
        return submission

    async def settle(self, number: int, *, timestamp: int | None = None) -> list[Outcome]:
        self.blocks.last = number
        if self.settler is None:
            self.settler = self.made()
        head = block(number)
        return await self.settler.settle(
            head if timestamp is None else replace(head, timestamp=timestamp)
        )

    def made(self) -> Settler:
        return Settler(
            wire=self.wire,
            reader=self.blocks,
            journal=self.journal,
            flight=self.flight,
            auditor_of=lambda _name: auditor(self.liquidations),
            confirmations=CONFIRMATIONS,
            on_foreign=self.foreign.append,
            on_settled=lambda intent, outcome: self.told.append((intent, outcome)),
        )


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    journal = await opened(tmp_path)
    yield Desk(journal)
    await journal.close()


@pytest.mark.parametrize("error", [KeyError("reserve"), ConfigError("an unknown revision")])
async def test_what_its_deployment_cannot_read_holds_up_no_other(
    desk: Desk, error: Exception
) -> None:
    def unreadable(_logs: Sequence[Log]) -> tuple[Liquidation, ...]:
        raise error

    first, second = await desk.send(ONE, 5), await desk.send(TWO, 6)
    desk.wire.include(first.tx_hash, 101, logs=(GAINED,))
    desk.wire.include(second.tx_hash, 101, success=False)
    desk.liquidations = unreadable
    desk.settler = desk.made()
    stuck: list[tuple[str, Exception]] = []
    desk.settler._on_stuck = lambda intent, met: stuck.append((intent.plan_id, met))
    with capture_logs() as lines:
        outcomes = [*await desk.settle(103), *await desk.settle(104)]
    assert [one.plan_id for one in outcomes] == [TWO.id]
    assert list(desk.flight.airborne) == [ONE.id]
    assert stuck == [(ONE.id, error)] * 2
    assert [one["plan"] for one in lines if one["event"] == OUTCOME_UNREADABLE] == [ONE.id]


async def test_what_cannot_be_read_holds_up_no_other_though_nobody_listens(desk: Desk) -> None:
    def unreadable(_logs: Sequence[Log]) -> tuple[Liquidation, ...]:
        raise KeyError("reserve")

    desk.liquidations = unreadable
    sent = await desk.send(ONE, 5)
    desk.wire.include(sent.tx_hash, 101)
    assert await desk.settle(103) == []


async def test_a_broken_promise_ends_it_and_is_not_taken_for_one_deployments_own(
    desk: Desk,
) -> None:
    def broken(_logs: Sequence[Log]) -> tuple[Liquidation, ...]:
        raise InvariantError("two of a kind")

    desk.liquidations = broken
    first, second = await desk.send(ONE, 5), await desk.send(TWO, 6)
    desk.wire.include(first.tx_hash, 101, success=False)
    desk.wire.include(second.tx_hash, 101)
    with pytest.raises(InvariantError, match="two of a kind"):
        await desk.settle(103)
    assert [one.plan_id for one in await desk.journal.open_intents()] == [TWO.id]


async def test_what_is_in_the_books_is_told_though_the_node_goes_away_at_the_next(
    desk: Desk,
) -> None:
    first, second = await desk.send(ONE, 5), await desk.send(TWO, 6)
    desk.wire.include(first.tx_hash, 101, success=False)
    desk.wire.include(second.tx_hash, 101, success=False)
    desk.wire = AwayFor(receipts=desk.wire.receipts, used=5, away=second.tx_hash)
    assert [one.plan_id for one in await desk.settle(103)] == [ONE.id]
    with pytest.raises(TransientError):
        await desk.settle(104)


async def test_a_pending_transaction_has_no_end_yet(desk: Desk) -> None:
    await desk.send(ONE, 5)
    assert await desk.settle(101) == []
    assert desk.flight.airborne


async def test_a_receipt_counts_after_the_confirmations(desk: Desk) -> None:
    sent = await desk.send(ONE, 5)
    desk.wire.include(sent.tx_hash, 101, logs=[GAINED])
    for number in (101, 102):
        assert await desk.settle(number) == []
    (outcome,) = await desk.settle(101 + CONFIRMATIONS)
    assert (outcome.status, outcome.block, outcome.tx_hash) == (Status.LANDED, 101, sent.tx_hash)
    assert outcome.block_hash == block(101).hash
    assert (outcome.realised.gas, outcome.realised.net) == (GAS, GAIN - GAS)
    assert desk.flight.airborne == {}
    assert await desk.journal.open_intents() == []
    assert (await desk.journal.spent(hour=0, day=0)).day == GAS


async def test_a_revert_costs_its_gas_and_nothing_else(desk: Desk) -> None:
    sent = await desk.send(ONE, 5)
    desk.wire.include(sent.tx_hash, 101, success=False)
    (outcome,) = await desk.settle(103)
    assert outcome.status is Status.REVERTED
    assert outcome.detail == "reverted on chain; it cost its gas"
    assert (outcome.realised.net, outcome.liquidations) == (-GAS, ())
    assert desk.flight.loners == frozenset(), "it was alone"


@pytest.mark.parametrize("success", [True, False])
async def test_what_ran_is_told_and_is_to_run_still_at_an_earlier_head(
    desk: Desk, *, success: bool
) -> None:
    sent = await desk.send(ONE, 5)
    intent = desk.flight.airborne[ONE.id].intent
    desk.wire.include(sent.tx_hash, 101, success=success)
    (outcome,) = await desk.settle(103)
    assert desk.told == [(intent, outcome)]
    assert desk.flight.transactions({SIGNER.address: 5}) == (ONE.transaction,)


async def test_what_did_not_run_is_to_run_nowhere(desk: Desk) -> None:
    await desk.send(ONE, 5)
    cancel = replace(signed(ONE, 5, max_fee=60 * 10**9), purpose=Purpose.CANCEL)
    await desk.journal.record_signed(cancel)
    desk.flight.replaced(cancel)
    desk.wire.include(cancel.tx_hash, 101)
    await desk.settle(103)
    assert desk.flight.lately == frozenset()


async def test_a_success_that_liquidated_nothing_is_booked_as_none(desk: Desk) -> None:
    """Markets of Compound's family refuse with a ``Failure`` event and status 1."""
    desk.liquidations = lambda _logs: ()
    sent = await desk.send(ONE, 5)
    refused = replace(GAINED, topics=(codec.FAILURE,), data=bytes(96))
    desk.wire.include(sent.tx_hash, 101, logs=[refused])
    (outcome,) = await desk.settle(103)
    assert (outcome.status, outcome.detail) == (Status.REVERTED, REFUSED_SOFTLY)
    assert (outcome.realised, outcome.liquidations) == (gas_only(GAS), ())
    assert await desk.journal.open_intents() == []


async def test_any_transaction_of_an_intent_may_be_the_one_that_landed(desk: Desk) -> None:
    first = await desk.send(ONE, 5)
    second = signed(ONE, 5, max_fee=60 * 10**9)
    await desk.journal.record_signed(second)
    desk.flight.replaced(second)
    desk.wire.include(first.tx_hash, 101, logs=[GAINED])
    (outcome,) = await desk.settle(103)
    assert (outcome.status, outcome.tx_hash) == (Status.LANDED, first.tx_hash)


async def test_a_cancellation_that_landed_costs_its_gas(desk: Desk) -> None:
    await desk.send(ONE, 5)
    cancel = replace(signed(ONE, 5, max_fee=60 * 10**9), purpose=Purpose.CANCEL)
    await desk.journal.record_signed(cancel)
    desk.flight.replaced(cancel)
    desk.wire.include(cancel.tx_hash, 101)
    (outcome,) = await desk.settle(103)
    assert (outcome.status, outcome.realised.net) == (Status.CANCELLED, -GAS)
    assert outcome.detail == "cancelled; it cost its gas"


async def test_a_nonce_that_another_transaction_took_ends_the_intent(desk: Desk) -> None:
    sent = await desk.send(ONE, 5)
    desk.wire.used = 6
    assert await desk.settle(101) == []
    assert desk.foreign == []
    (outcome,) = await desk.settle(102)
    assert (outcome.status, outcome.realised.net) == (Status.DROPPED, 0)
    assert outcome.detail == "another transaction took nonce 5"
    assert outcome.tx_hash == sent.tx_hash
    assert [one.nonce for one in desk.foreign] == [5]


async def test_a_used_nonce_waits_for_its_receipt_by_the_clock_of_the_chain(desk: Desk) -> None:
    await desk.send(ONE, 5)
    desk.wire.used = 6
    second = block(101).timestamp
    for number in range(101, 101 + 4 * UNEXPLAINED_S):  # four blocks a second
        assert await desk.settle(number, timestamp=second + (number - 101) // 4) == []
    assert desk.foreign == []
    (outcome,) = await desk.settle(200, timestamp=second + UNEXPLAINED_S)
    assert outcome.status is Status.DROPPED
    assert [one.nonce for one in desk.foreign] == [5]


async def test_a_nonce_that_one_of_ours_took_which_was_given_up_is_nobody_else_s(
    desk: Desk,
) -> None:
    given_up = await desk.send(TWO, 5)
    intent = desk.flight.airborne[TWO.id].intent
    desk.flight.landed(TWO.id)
    await desk.journal.settle(dropped(intent, "lost"))
    await desk.send(ONE, 5)
    desk.wire.used = 6
    desk.wire.include(given_up.tx_hash, 101)
    assert await desk.settle(101) == []
    (outcome,) = await desk.settle(102)
    assert outcome.status is Status.DROPPED
    assert desk.foreign == []


@pytest.mark.parametrize("receipt_came", [True, False])
async def test_after_a_reorg_a_receipt_may_come_as_late_as_before(
    desk: Desk, *, receipt_came: bool
) -> None:
    sent = await desk.send(ONE, 5)
    for number in (101, 105):  # it is in both blocks; the node counts it before it has the receipt
        desk.wire.used = 6
        assert await desk.settle(number) == []
        if receipt_came:
            desk.wire.include(sent.tx_hash, number)
            assert await desk.settle(number + 1) == []
            del desk.wire.receipts[sent.tx_hash]
        else:
            desk.wire.used = 5
            assert await desk.settle(number + 1) == []
    assert desk.foreign == []


async def test_a_receipt_that_comes_late_is_not_taken_for_another_s(desk: Desk) -> None:
    sent = await desk.send(ONE, 5)
    # The node counts the nonce as used before it hands out the receipt.
    desk.wire.used = 6
    desk.wire.include(sent.tx_hash, 101, logs=[GAINED])
    desk.wire.late.add(sent.tx_hash)
    assert await desk.settle(103) == []
    assert desk.foreign == []
    (outcome,) = await desk.settle(103)
    assert outcome.status is Status.LANDED


async def test_a_receipt_that_comes_between_the_looks_is_not_taken_for_another_s(
    desk: Desk,
) -> None:
    sent = await desk.send(ONE, 5)
    desk.wire.used = 6
    assert await desk.settle(102) == []
    desk.wire.include(sent.tx_hash, 101, logs=[GAINED])
    desk.wire.late.add(sent.tx_hash)
    assert await desk.settle(103) == []
    assert desk.foreign == []
    (outcome,) = await desk.settle(104)
    assert outcome.status is Status.LANDED


async def test_nobody_is_accused_at_first_sight_of_what_a_reorg_took_back(desk: Desk) -> None:
    sent = await desk.send(ONE, 5)
    desk.wire.used = 6
    assert await desk.settle(101) == []
    desk.wire.include(sent.tx_hash, 101)
    await desk.settle(103)
    await desk.journal.reopen(ONE.id)
    (intent,) = await desk.journal.open_intents()
    desk.flight.reopened(intent)
    del desk.wire.receipts[sent.tx_hash]
    assert await desk.settle(104) == []
    assert desk.foreign == []


async def test_what_is_pending_behind_its_nonce_is_no_other_transaction(desk: Desk) -> None:
    await desk.send(ONE, 5)
    desk.wire.queued = 3
    assert [await desk.settle(number) for number in (101, 102, 103)] == [[], [], []]
    assert desk.foreign == []


async def test_what_has_not_landed_has_no_outcome_on_chain(desk: Desk) -> None:
    sent = await desk.send(ONE, 5)
    intent = desk.flight.airborne[ONE.id].intent
    desk.blocks.last = 101
    assert await desk.made().outcome_on_chain(intent) is None
    desk.wire.include(sent.tx_hash, 101, logs=[GAINED])
    found = await desk.made().outcome_on_chain(intent)
    assert found is not None
    assert (found.status, found.realised.net) == (Status.LANDED, GAIN - GAS)


async def test_a_lost_transaction_is_given_up_after_its_deadline_and_not_before(desk: Desk) -> None:
    await desk.send(ONE, 5)
    desk.wire.pending.clear()
    last = ONE.deadline + GRACE_S
    assert await desk.settle(120, timestamp=last) == []
    (outcome,) = await desk.settle(120, timestamp=last + 1)
    assert outcome.status is Status.DROPPED
    assert outcome.detail == "the node lost it and its deadline has passed"


async def test_what_is_lost_below_one_that_is_open_is_tended_on_to_use_its_nonce(
    desk: Desk,
) -> None:
    desk.wire.used = 5
    first, second = await desk.send(ONE, 5), await desk.send(TWO, 6)
    desk.wire.pending = {second.tx_hash}
    late = ONE.deadline + GRACE_S + 1
    assert await desk.settle(120, timestamp=late) == []
    desk.wire.pending.clear()
    # From the last, so that no gap is left below one that may land yet.
    (outcome,) = await desk.settle(121, timestamp=late)
    assert (outcome.plan_id, outcome.status) == (TWO.id, Status.DROPPED)
    (outcome,) = await desk.settle(122, timestamp=late)
    assert (outcome.plan_id, outcome.status) == (ONE.id, Status.DROPPED)
    assert first.nonce not in desk.flight.held(first.sender)


async def test_what_another_lane_lost_below_one_that_is_open_is_tended_on_as_well(
    desk: Desk,
) -> None:
    desk.wire.used = 5
    private = replace(signed(ONE, 5), lane="protect")
    await desk.journal.seal([(ONE, private)])
    desk.flight.took_off(ONE, private)
    await desk.send(TWO, 6)
    assert await desk.settle(120, timestamp=ONE.deadline + GRACE_S + 1) == []


async def test_a_transaction_that_the_node_still_has_is_not_given_up_while_it_is_next(
    desk: Desk,
) -> None:
    desk.wire.used = 5
    await desk.send(ONE, 5)
    await desk.send(TWO, 6)
    assert await desk.settle(10_000, timestamp=ONE.deadline + 10**6) == []


async def test_what_the_node_has_above_a_nonce_that_nobody_uses_is_given_up_after_its_deadline(
    desk: Desk,
) -> None:
    desk.wire.used = 4
    await desk.send(ONE, 5)
    await desk.send(TWO, 6)
    last = ONE.deadline + GRACE_S
    assert await desk.settle(120, timestamp=last) == []
    (outcome,) = await desk.settle(121, timestamp=last + 1)  # the highest first
    assert (outcome.plan_id, outcome.status) == (TWO.id, Status.DROPPED)
    (outcome,) = await desk.settle(122, timestamp=last + 1)
    assert (outcome.plan_id, outcome.status) == (ONE.id, Status.DROPPED)
    assert outcome.detail == "nobody uses nonce 4 below it; its deadline has passed"


async def test_above_what_somebody_else_has_pending_it_may_land_yet(desk: Desk) -> None:
    desk.wire.used, desk.wire.queued = 4, 2
    await desk.send(ONE, 5)
    assert await desk.settle(120, timestamp=ONE.deadline + GRACE_S + 1) == []


async def test_a_receipt_that_a_reorg_took_back_keeps_the_intent_open(desk: Desk) -> None:
    sent = await desk.send(ONE, 5)
    desk.wire.include(sent.tx_hash, 101)
    assert await desk.settle(102) == []
    del desk.wire.receipts[sent.tx_hash]
    desk.wire.pending.add(sent.tx_hash)
    assert await desk.settle(103) == []
    assert desk.flight.airborne


async def test_one_end_does_not_wait_for_another(desk: Desk) -> None:
    first, second = await desk.send(ONE, 5), await desk.send(TWO, 6)
    desk.wire.include(second.tx_hash, 101, success=False)
    (outcome,) = await desk.settle(103)
    assert outcome.plan_id == TWO.id
    desk.wire.include(first.tx_hash, 104, success=False)
    (outcome,) = await desk.settle(106)
    assert outcome.plan_id == ONE.id


async def test_an_end_that_nodes_tell_otherwise_holds_up_no_other(desk: Desk) -> None:
    first, second = await desk.send(ONE, 5), await desk.send(TWO, 6)
    desk.wire.include(first.tx_hash, 101)
    desk.wire.include(second.tx_hash, 101)
    desk.wire.disputed.add(first.tx_hash)
    with capture_logs() as lines:
        assert [one.plan_id for one in await desk.settle(103)] == [TWO.id]
    assert [one["plan"] for one in lines if one["event"] == OUTCOME_UNTOLD] == [ONE.id]
    assert set(desk.flight.airborne) == {ONE.id}
    desk.wire.disputed.clear()
    assert [one.plan_id for one in await desk.settle(104)] == [ONE.id]


async def test_a_restart_settles_from_the_journal_alone(desk: Desk) -> None:
    sent = await desk.send(ONE, 5)
    desk.flight = Flight(await desk.journal.open_intents())
    desk.wire.include(sent.tx_hash, 101, logs=[GAINED])
    (outcome,) = await desk.settle(103)
    assert (outcome.status, outcome.realised.net) == (Status.LANDED, GAIN - GAS)


async def test_an_intent_that_was_never_signed_is_dropped(desk: Desk) -> None:
    await desk.journal.intend(ONE)
    desk.flight = Flight(await desk.journal.open_intents())
    (outcome,) = await desk.settle(101)
    assert (outcome.status, outcome.detail) == (Status.DROPPED, "stopped before it was signed")
    assert (outcome.gas_used, outcome.realised.gas, outcome.tx_hash) == (0, 0, None)
    assert outcome.tx_hash is None


@pytest.mark.parametrize("error", [RefusedError("pruned"), StaleError("told otherwise")])
async def test_what_a_node_does_not_tell_is_its_own_fault_and_holds_up_no_other(
    desk: Desk, error: Exception
) -> None:
    first, second = await desk.send(ONE, 5), await desk.send(TWO, 6)
    desk.wire.include(first.tx_hash, 101, success=False)
    desk.wire.include(second.tx_hash, 101, success=False)
    stuck: list[str] = []
    desk.wire = AwayFor(receipts=desk.wire.receipts, used=5, away=first.tx_hash, error=error)
    desk.settler = desk.made()
    desk.settler._on_stuck = lambda intent, _: stuck.append(intent.plan_id)
    assert [one.plan_id for one in await desk.settle(103)] == [TWO.id]
    assert (stuck, list(desk.flight.airborne)) == ([], [ONE.id])
