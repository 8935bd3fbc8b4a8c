"""How intents end: by their receipt, by another's, or by time; and what the books get of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keeper.core.accounting import gas_only
from keeper.core.chain import BlockRef
from keeper.core.lending import AccountRef, Valuation
from keeper.core.plan import Purpose, Status
from keeper.core.values import replace
from keeper.executor.endings import REFUSED_SOFTLY, UNREAD, UNVALUED
from keeper.executor.flight import Flight
from keeper.protocols.compound_v2 import codec
from tests.support.ledger_records import VALUATION, account, block, hash32
from tests.support.settling_desk import CONFIRMATIONS, GAIN, GAINED, GAS, Desk, desk_in
from tests.support.signed_plans import ONE, SIGNER, TWO, signed


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        yield made


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


async def test_dust_that_came_along_makes_no_success_of_a_refusal(desk: Desk) -> None:
    """A stranger may leave it with the executor contract, which pays out all that it holds."""
    desk.liquidations = lambda _logs: ()
    sent = await desk.send(ONE, 5)
    dust = replace(GAINED, data=(1).to_bytes(32, "big"))
    desk.wire.include(sent.tx_hash, 101, logs=[dust])
    (outcome,) = await desk.settle(103)
    assert (outcome.status, outcome.detail) == (Status.REVERTED, REFUSED_SOFTLY)
    assert outcome.realised.net == 1 - GAS


async def test_what_others_liquidate_within_the_transaction_is_not_entered(desk: Desk) -> None:
    """A token that is seized may do so when it is moved, in a market whose tokens have no price."""
    own = desk.liquidations([])
    strange = replace(
        own[0],
        ref=AccountRef(market="0x" + "77" * 32, account=account(66)),
        collateral=account(67),
        debt=account(68),
        liquidator=account(69),
    )
    desk.liquidations = lambda _logs: (strange, *own)
    sent = await desk.send(ONE, 5)
    desk.wire.include(sent.tx_hash, 101, logs=[GAINED])
    (outcome,) = await desk.settle(103)
    assert (outcome.status, outcome.liquidations) == (Status.LANDED, own)
    assert outcome.realised.net == GAIN - GAS
    assert await desk.journal.open_intents() == []


@pytest.mark.parametrize("known", [None, replace(VALUATION, assets={})])
async def test_what_has_no_price_at_its_block_ends_with_what_it_brought(
    desk: Desk, known: Valuation | None
) -> None:
    """Whoever made the market's oracle may have it fall silent in that very block, for good."""

    async def value_at(*_: object) -> Valuation | None:
        return known

    desk.value_at = value_at
    sent = await desk.send(ONE, 5)
    desk.wire.include(sent.tx_hash, 101, logs=[GAINED])
    (outcome,) = await desk.settle(103)
    assert (outcome.status, outcome.detail) == (Status.LANDED, UNVALUED)
    split = outcome.realised
    assert (split.net, split.gas, split.swap_cost) == (GAIN - GAS, GAS, -GAIN)
    assert (split.penalty, split.protocol_fee, split.flash_fee) == (0, 0, 0)
    assert await desk.journal.open_intents() == []


async def test_what_nobody_decodes_any_more_ends_with_what_it_brought(desk: Desk) -> None:
    """Its market may be followed no more by the time that it is settled, as after a restart."""
    desk.liquidations = lambda _logs: ()

    async def value_at(*_: object) -> Valuation | None:
        return None

    desk.value_at = value_at
    sent = await desk.send(ONE, 5)
    desk.wire.include(sent.tx_hash, 101, logs=[GAINED])
    (outcome,) = await desk.settle(103)
    assert (outcome.status, outcome.detail) == (Status.LANDED, UNREAD)
    assert (outcome.realised.net, outcome.liquidations) == (GAIN - GAS, ())
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


async def test_what_has_not_landed_has_no_outcome_on_chain(desk: Desk) -> None:
    sent = await desk.send(ONE, 5)
    intent = desk.flight.airborne[ONE.id].intent
    desk.blocks.last = 101
    assert await desk.made().outcome_on_chain(intent) is None
    desk.wire.include(sent.tx_hash, 101, logs=[GAINED])
    found = await desk.made().outcome_on_chain(intent)
    assert found is not None
    assert (found.status, found.realised.net) == (Status.LANDED, GAIN - GAS)


async def test_a_receipt_that_a_reorg_took_back_keeps_the_intent_open(desk: Desk) -> None:
    sent = await desk.send(ONE, 5)
    desk.wire.include(sent.tx_hash, 101)
    assert await desk.settle(102) == []
    del desk.wire.receipts[sent.tx_hash]
    desk.wire.pending.add(sent.tx_hash)
    assert await desk.settle(103) == []
    assert desk.flight.airborne


async def test_what_landed_is_not_valued_at_another_block_of_that_number(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of nodes behind one address one may tell the receipt, another the block before a reorg."""
    valued: list[BlockRef] = []

    async def value_at(block: BlockRef, _: AccountRef) -> Valuation:
        valued.append(block)
        return VALUATION

    async def undone(_self: object, number: int) -> BlockRef:
        return replace(block(number), hash=hash32(999))

    desk.value_at = value_at
    sent = await desk.send(ONE, 5)
    desk.wire.include(sent.tx_hash, 101, logs=[GAINED])
    with monkeypatch.context() as lagging:
        lagging.setattr(type(desk.blocks), "block", undone)
        assert await desk.settle(103) == []
    assert desk.flight.airborne
    (outcome,) = await desk.settle(104)
    assert outcome.block_hash == block(101).hash
    assert valued == [block(101)]


async def test_one_end_does_not_wait_for_another(desk: Desk) -> None:
    first, second = await desk.send(ONE, 5), await desk.send(TWO, 6)
    desk.wire.include(second.tx_hash, 101, success=False)
    (outcome,) = await desk.settle(103)
    assert outcome.plan_id == TWO.id
    desk.wire.include(first.tx_hash, 104, success=False)
    (outcome,) = await desk.settle(106)
    assert outcome.plan_id == ONE.id


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
