"""What becomes of a transaction that is overdue, by its lane and by what the node has of it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.core.chain import DataCost, Fees, Log, Simulated
from keeper.core.gas_limit import CANCEL_GAS
from keeper.core.plan import Outcome, Purpose, Status, Submission
from keeper.core.standing import Spent
from keeper.core.units import WAD, Address, Hash32
from keeper.core.values import replace
from keeper.evm.signed_transaction import decode_signed
from keeper.executor.door import Door, Grounds
from keeper.executor.flight import Flight
from keeper.executor.lanes.lane import Delivery, Taken
from keeper.executor.means import Patience
from keeper.executor.nonce import NonceKeeper
from keeper.executor.policy import Exposure, Limits
from keeper.executor.settlement import TRANSFER
from keeper.executor.signing import SigningDesk
from keeper.executor.tending import Tender
from keeper.executor.totals import CoinPrice, TotalLimits, Totals
from tests.support.fake_wire import FakeWire
from tests.support.ledger_records import (
    EXECUTOR,
    OPERATOR,
    WETH,
    account,
    block,
    hash32,
    plan,
    submission,
)
from tests.support.signed_plans import SIGNER, signed

PLAN = plan()
FIRST = replace(submission(PLAN), fees=Fees(max_fee=100, priority_fee=10))
RAISED = replace(FIRST, tx_hash=hash32(0xBEEF), fees=Fees(max_fee=110, priority_fee=11))


async def is_lost(*known: Submission, base_fee: int = 50, public: bool = True) -> bool:
    """Return whether the same bytes go again, where the node holds these of two transactions."""
    flight = Flight()
    flight.took_off(PLAN, FIRST)
    flight.replaced(RAISED)
    means: Any = SimpleNamespace(
        wire=FakeWire(pending={one.tx_hash for one in known}),
        lane=SimpleNamespace(public=public),
        desk=SimpleNamespace(address=OPERATOR),
        limits=SimpleNamespace(min_balance=0),
        simulator=None,
        auditor_of=None,
        on_stuck=None,
        overrides={},
    )
    patience = Patience(replace_after_blocks=0, block_time_s=12, halt_on_foreign_nonce=True)
    nobody: Any = None
    tender = Tender(means, patience, nobody, on_settled=lambda *_: None)
    return await tender._lost(RAISED, flight.airborne[PLAN.id], base_fee)


async def test_what_the_node_has_not_at_all_is_sent_again_as_it_is() -> None:
    assert await is_lost()


@pytest.mark.parametrize("known", [(RAISED,), (FIRST,), (FIRST, RAISED)])
async def test_where_the_node_has_one_of_the_nonce_the_next_rung_is_due(
    known: tuple[Submission, ...],
) -> None:
    # With the first alone it refused the newest: as too little over that.
    assert not await is_lost(*known)


async def test_what_the_base_fee_has_left_behind_is_not_sent_again() -> None:
    assert await is_lost(base_fee=110)
    assert not await is_lost(base_fee=111)
    assert await is_lost(FIRST, base_fee=110, public=False)
    assert not await is_lost(base_fee=111, public=False)


GWEI = 10**9
WIDE = 10**30
LIMITS = Limits(
    min_profit=0,
    max_gas_price=WIDE,
    max_gas_per_tx=WIDE,
    max_gas_per_hour=WIDE,
    max_gas_per_day=WIDE,
    max_in_flight=9,
    min_balance=0,
)
NOTHING = Exposure(
    spent_hour=0, spent_day=0, at_stake=0, in_flight=0, busy=frozenset(), balances=None
)
OURS = replace(PLAN, transaction=replace(PLAN.transaction, sender=SIGNER.address))
RECIPIENT = account(77)


def topic(address: Address) -> Hash32:
    return Hash32("0x" + address[2:].rjust(64, "0"))


GAINED = Log(
    address=WETH,
    topics=(TRANSFER, topic(EXECUTOR), topic(RECIPIENT)),
    data=(3 * WAD).to_bytes(32),
    block_number=102,
    block_hash=hash32(102),
    tx_hash=hash32(1),
    index=0,
)


@dataclass
class Way:
    """A lane that takes all, and remembers what."""

    name: str
    public: bool = False
    expires: bool = False
    sent: list[Submission] = field(default_factory=list)
    withdrawn: list[Submission] = field(default_factory=list)

    async def send(self, submissions: Sequence[Submission]) -> list[Delivery]:
        self.sent += submissions
        return [Taken()] * len(submissions)

    async def withdraw(self, one: Submission) -> bool:
        self.withdrawn.append(one)
        return True


@dataclass
class Yard:
    """A tender with one transaction in flight, which would still earn a lot when run again."""

    lane: Way
    halted: str | None = None
    wire: FakeWire = field(default_factory=FakeWire)
    flight: Flight = field(default_factory=Flight)
    journaled: list[Submission] = field(default_factory=list)
    settled: list[Outcome] = field(default_factory=list)
    signed: dict[int, list[Hash32]] = field(default_factory=dict)
    """By nonce, whatever became of it."""
    patience: int = 0
    on_run: Callable[[], None] = lambda: None

    async def simulate(self, transactions: Sequence[Any], **_: Any) -> list[Simulated]:
        self.on_run()
        one = Simulated(success=True, gas_used=500_000, logs=(GAINED,), return_data=b"", error="")
        return [one] * len(transactions)

    async def record_signed(self, one: Submission) -> None:
        self.journaled.append(one)

    async def retarget(self, one: Submission) -> None:
        """Take note of nothing."""

    async def record_all_sent(self, sent: Sequence[Submission]) -> None:
        """Take note of nothing."""

    async def spent(self, **_: int) -> Spent:
        return Spent(hour=0, day=0, forced={})

    async def signed_with(self, sender: Address, nonce: int) -> list[Hash32]:
        assert sender == SIGNER.address
        return self.signed.get(nonce, [])

    def halt(self, why: str) -> None:
        self.halted = why

    async def settle(self, outcome: Outcome) -> None:
        self.settled.append(outcome)

    async def tend(self, number: int, exposure: Exposure = NOTHING) -> None:
        desk = SigningDesk(
            chain_id=31337,
            signer=SIGNER,
            wire=self.wire,
            nonces=NonceKeeper(self.wire, SIGNER.address, highest=9),
        )
        decoders = SimpleNamespace(wrapped_native=WETH, recipient=RECIPIENT)
        means: Any = SimpleNamespace(
            wire=self.wire,
            lane=self.lane,
            desk=desk,
            flight=self.flight,
            journal=self,
            limits=LIMITS,
            simulator=self,
            auditor_of=lambda _: SimpleNamespace(decoders=decoders),
            on_stuck=lambda *_: None,
            overrides={},
            share=None,
        )
        patience = Patience(
            replace_after_blocks=self.patience, block_time_s=12, halt_on_foreign_nonce=True
        )
        standing: Any = self
        tender = Tender(means, patience, standing, on_settled=lambda *_: None)
        await tender.tend(block(number), exposure)


def flown(yard: Yard, *, lane: str) -> Submission:
    """Put a transaction in flight that aims at block 101."""
    sent = replace(signed(OURS, 0, max_fee=90 * GWEI), lane=lane)
    yard.flight.took_off(OURS, sent)
    return sent


async def test_what_went_out_in_public_is_not_given_up_for_free_after_a_change_to_bundles() -> None:
    yard = Yard(Way("builders", expires=True), halted="by hand")
    sent = flown(yard, lane="mempool")
    yard.wire.pending.add(sent.tx_hash)
    await yard.tend(105)
    assert list(yard.flight.airborne) == [OURS.id]
    assert (yard.settled, yard.journaled, yard.lane.sent, yard.lane.withdrawn) == ([], [], [], [])


async def test_a_bundle_whose_block_is_there_is_dropped_at_no_cost() -> None:
    yard = Yard(Way("builders", expires=True), halted="by hand")
    sent = flown(yard, lane="builders")
    await yard.tend(100)
    assert (yard.lane.withdrawn, yard.settled) == ([sent], [])
    await yard.tend(101)
    assert [one.status for one in yard.settled] == [Status.DROPPED]
    assert yard.flight.airborne == {}


async def test_a_bundle_is_offered_for_each_block_however_patient_the_ladder_is() -> None:
    yard = Yard(Way("builders", expires=True), patience=3)
    flown(yard, lane="builders")
    await yard.tend(101)
    assert [one.target_block for one in yard.lane.sent] == [102]


async def test_a_halt_while_a_transaction_is_run_again_stops_its_next_rung() -> None:
    yard = Yard(Way("mempool", public=True))
    sent = flown(yard, lane="mempool")
    yard.wire.pending.add(sent.tx_hash)

    def halt() -> None:
        yard.halted = "by hand"

    yard.on_run = halt
    await yard.tend(101)
    assert yard.lane.sent == []
    await yard.tend(102)
    assert [one.purpose for one in yard.lane.sent] == [Purpose.CANCEL]
    assert yard.lane.sent[0].nonce == sent.nonce


async def test_next_rungs_keep_to_the_budgets_over_all_chains_together() -> None:
    yard = Yard(Way("mempool", public=True))
    other = replace(plan(2), transaction=OURS.transaction)
    for nonce, one in enumerate((OURS, other)):
        sent = signed(one, nonce, max_fee=90 * GWEI)
        yard.flight.took_off(one, sent)
        yard.wire.pending.add(sent.tx_hash)
    most = yard.flight.at_stake + 10 * GWEI * OURS.gas_limit  # one of them may offer a tenth more
    totals = Totals(TotalLimits(max_gas_per_hour=most), now=lambda: 0)
    share = totals.share("one")
    share.opened(yard.flight, lambda _: asyncio.sleep(0, WAD))
    share.price = CoinPrice(value=WAD, read=0)
    reader: Any = SimpleNamespace(nonce=lambda *_: asyncio.sleep(0, 0))
    simulator: Any = None
    grounds = Grounds(
        reader=reader,
        simulator=simulator,
        limits=LIMITS,
        now=lambda: 0,
        overrides={},
        share=share,
    )
    journal: Any = yard
    door = Door(grounds, journal=journal, flight=yard.flight, desks=None)
    await yard.tend(101, await door.exposure(block(101)))
    assert len(yard.lane.sent) == 1
    assert share.at_stake <= most


async def test_a_cancellation_has_gas_for_its_data_where_that_is_charged_as_gas() -> None:
    yard = Yard(Way("mempool", public=True), halted="by hand")
    charged = replace(OURS, data_cost=DataCost(gas=9_000))
    yard.flight.took_off(charged, signed(OURS, 0, max_fee=90 * GWEI))
    await yard.tend(101)
    (cancel,) = yard.lane.sent
    assert decode_signed(cancel.raw, sender=SIGNER.address).gas_limit == CANCEL_GAS + 102 + 9_000


async def test_two_of_one_nonce_are_not_cancelled_by_the_same_bytes() -> None:
    sent: list[Submission] = []
    for number in (101, 102):  # the first was given up, and its nonce handed out again
        yard = Yard(Way("mempool", public=True), halted="by hand")
        flown(yard, lane="mempool")
        await yard.tend(number)
        sent += yard.lane.sent
    assert len({one.tx_hash for one in sent}) == 2


async def test_a_bundle_that_lands_after_it_was_given_up_is_no_use_of_the_key_by_others() -> None:
    # A builder's block took the place of one without it, or the node was behind when it was asked.
    yard = Yard(Way("builders", expires=True))
    late = signed(OURS, 10)
    yard.signed = {10: [hash32(1), late.tx_hash]}
    yard.wire.used = 11
    yard.wire.include(late.tx_hash, 101)
    await yard.tend(102)
    assert yard.halted is None


async def test_a_nonce_that_none_of_ours_used_halts() -> None:
    yard = Yard(Way("builders", expires=True))
    yard.wire.used = 11
    await yard.tend(102)
    assert yard.halted is not None
    assert "nonce 10 was used" in yard.halted
