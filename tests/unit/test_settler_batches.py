"""How batches end: each account by its own part of the receipt, and the parts are the whole."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from keeper.core.chain import Log
from keeper.core.lending import Liquidation
from keeper.core.plan import Plan, Purpose, Status
from keeper.core.values import replace
from keeper.executor.canon import Canon
from keeper.executor.dividing import equal_parts
from keeper.executor.endings import REFUSED_SOFTLY
from keeper.executor.flight import Flight
from keeper.executor.nonce import UNEXPLAINED_S
from keeper.ledger.books import read_books
from tests.support.batch_records import ACCOUNTS, GAINS, decoders, logs_of, merged
from tests.support.ledger_records import block, hash32, opened
from tests.support.rehearsal_node import ONE, THREE
from tests.support.settling_desk import GAS, Desk
from tests.support.signed_plans import SIGNER, signed

REFS = [one.ref for one in ACCOUNTS]


def own(plan: Plan) -> Plan:
    return replace(plan, transaction=replace(plan.transaction, sender=SIGNER.address))


BATCH = merged(*map(own, ACCOUNTS))


def liquidations(logs: Sequence[Log]) -> tuple[Liquidation, ...]:
    return decoders().liquidations(logs)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    journal = await opened(tmp_path)
    yield Desk(journal, liquidations=liquidations)
    await journal.close()


async def test_each_account_of_a_batch_that_landed_has_what_it_brought(desk: Desk) -> None:
    sent = await desk.send(BATCH, 5)
    desk.wire.include(sent.tx_hash, 101, logs=list(logs_of(ACCOUNTS)))
    outcomes = await desk.settle(103)
    assert [one.plan_id for one in outcomes] == [one.id for one in ACCOUNTS]
    assert {(one.status, one.tx_hash, one.block) for one in outcomes} == {
        (Status.LANDED, sent.tx_hash, 101)
    }
    assert [one.realised.gas for one in outcomes] == equal_parts(GAS, 3)
    assert [one.realised.net + one.realised.gas for one in outcomes] == list(GAINS)
    assert sum(one.gas_used for one in outcomes) == 500_000
    assert [one.liquidations[0].ref for one in outcomes] == REFS
    assert await desk.journal.open_intents() == []
    assert (await desk.journal.spent(hour=0, day=0)).day == GAS
    assert desk.flight.airborne == {}
    assert desk.flight.loners == frozenset()


async def test_a_batch_that_reverted_did_so_for_each_account(desk: Desk) -> None:
    sent = await desk.send(BATCH, 5)
    desk.wire.include(sent.tx_hash, 101, success=False)
    outcomes = await desk.settle(103)
    assert [one.status for one in outcomes] == [Status.REVERTED] * 3
    assert desk.flight.loners == set(REFS)
    assert [-one.realised.net for one in outcomes] == equal_parts(GAS, 3)


async def test_a_cancelled_batch_costs_each_account_its_part(desk: Desk) -> None:
    await desk.send(BATCH, 5)
    cancel = replace(signed(BATCH, 5, max_fee=60 * 10**9), purpose=Purpose.CANCEL)
    await desk.journal.record_signed(cancel)
    desk.flight.replaced(cancel)
    desk.wire.include(cancel.tx_hash, 101)
    outcomes = await desk.settle(103)
    assert [one.status for one in outcomes] == [Status.CANCELLED] * 3
    assert sum(one.realised.net for one in outcomes) == -GAS


async def test_an_account_that_was_refused_softly_is_booked_as_no_liquidation(desk: Desk) -> None:
    sent = await desk.send(BATCH, 5)
    desk.wire.include(sent.tx_hash, 101, logs=list(logs_of((ONE, THREE))))
    outcomes = await desk.settle(103)
    statuses = [Status.LANDED, Status.REVERTED, Status.LANDED]
    assert [one.status for one in outcomes] == statuses
    assert [one.detail for one in outcomes] == ["", REFUSED_SOFTLY, ""]
    assert sum(one.realised.net for one in outcomes) == GAINS[0] + GAINS[2] - GAS


async def test_a_batch_that_another_transaction_took_the_nonce_of_is_dropped_whole(
    desk: Desk,
) -> None:
    await desk.send(BATCH, 5)
    desk.wire.used = 6
    await desk.settle(101)
    desk.clock.seconds += UNEXPLAINED_S
    outcomes = await desk.settle(102)
    assert [(one.status, one.realised.net) for one in outcomes] == [(Status.DROPPED, 0)] * 3
    assert [one.plan_id for one in outcomes] == [one.id for one in ACCOUNTS]
    assert len(desk.foreign) == 1


async def test_a_restart_settles_a_batch_from_the_journal_alone(desk: Desk) -> None:
    sent = await desk.send(BATCH, 5)
    desk.flight = Flight(await desk.journal.open_intents())
    desk.wire.include(sent.tx_hash, 101, logs=list(logs_of(ACCOUNTS)))
    outcomes = await desk.settle(103)
    assert sum(one.realised.net for one in outcomes) == sum(GAINS) - GAS


async def test_a_reorg_that_moves_a_batch_corrects_each_account(desk: Desk, tmp_path: Path) -> None:
    sent = await desk.send(BATCH, 5)
    desk.wire.include(sent.tx_hash, 101, logs=list(logs_of(ACCOUNTS)))
    await desk.settle(103)
    canon = Canon(journal=desk.journal, reader=desk.blocks, flight=desk.flight, depth=64)
    settler = desk.made()
    assert await canon.review(block(103), settler) == []
    desk.wire.include(sent.tx_hash, 102, success=False)
    other = replace(block(101), hash=hash32(9))
    corrected = await canon.review(other, settler)
    assert [one.status for one in corrected] == [Status.REVERTED] * 3
    books = read_books(tmp_path / "keeper.sqlite")
    assert [entry.block for entry in books.entries] == [102] * 3
    assert books.total.realised.net == -GAS
