"""Whether somebody else used the key: what halts sending, and what only looks like it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from keeper.app.hearing import foreign
from keeper.core.errors import TransientError
from keeper.core.plan import Status, Submission
from keeper.core.values import replace
from keeper.executor.armament import Armament
from keeper.executor.desks import Desks
from keeper.executor.endings import dropped
from keeper.executor.nonce import UNEXPLAINED_S, NonceKeeper
from keeper.executor.settler import GRACE_S, Auditor, Settler
from keeper.executor.signing import SigningDesk
from keeper.executor.tending import KEY_USED, Tender
from tests.support.fake_wire import FakeBlocks
from tests.support.ledger_records import block
from tests.support.rehearsal_node import decoders
from tests.support.signed_plans import ONE, SIGNER, TWO
from tests.support.tending_yard import Yard, yard_in

NO_LANE: Any = None


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    async with yard_in(tmp_path) as made:
        yield made


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


@pytest.mark.parametrize("while_off", [True, False])
async def test_who_used_the_nonce_of_what_is_open_halts_unless_no_keeper_ran_then(
    yard: Yard, *, while_off: bool
) -> None:
    """As somebody who cancels by hand what was left stuck, before the keeper is started again."""
    await yard.send(ONE, 5)
    tender = yard.tender()
    yard.wire.used = 6 if while_off else 5
    await tender.begin()
    yard.wire.used = 6
    settler = settler_of(yard, tender)
    with capture_logs() as lines:
        outcomes = await settler.settle(block(102))
        yard.clock.seconds += UNEXPLAINED_S
        outcomes += await settler.settle(block(103))
    assert [one.status for one in outcomes] == [Status.DROPPED]
    assert [(one["nonce"], one["while_off"]) for one in lines if one["event"] == KEY_USED] == [
        (5, while_off)
    ]
    assert (yard.standing.halted is None) is while_off


def settler_of(yard: Yard, *tenders: Tender) -> Settler:
    """Return who closes what is open, heard by whom a running keeper has hear it."""
    desks = Desks([yard.desk])
    return Settler(
        wire=yard.wire,
        reader=FakeBlocks(last=103),
        journal=yard.journal,
        flight=yard.flight,
        auditor_of=lambda _: Auditor(decoders=decoders(), value_at=yard.value_at),
        confirmations=0,
        on_foreign=foreign(Armament(desks=desks, lane=NO_LANE, tenders=tenders)),
        on_settled=desks.settled,
        now=yard.clock.monotonic,
    )


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
    yard.clock.seconds += UNEXPLAINED_S
    with capture_logs() as lines:
        await yard.tend(102)
        await yard.tend(103)
    assert "nonce 10 was used" in (yard.standing.halted or "")
    assert [one["nonce"] for one in lines if one["event"] == KEY_USED] == [10]


async def test_a_reorg_between_the_count_and_the_receipts_accuses_nobody(yard: Yard) -> None:
    late = await given_up(yard, 10)
    yard.wire.used = 11
    await yard.tend(101)
    yard.clock.seconds += UNEXPLAINED_S
    yard.wire.freed = 10
    await yard.tend(102)
    assert yard.standing.halted is None
    yard.wire.used = 11
    yard.wire.include(late.tx_hash, 103)
    await yard.tend(103)
    assert yard.standing.halted is None
    assert not yard.desk.nonces.unaccounted(11)


async def test_who_uses_the_nonce_of_what_was_lost_and_given_up_halts(yard: Yard) -> None:
    await yard.send(ONE, 10)
    yard.wire.used = 10
    yard.wire.pending.clear()
    await yard.tend(102)
    await settler_of(yard).settle(replace(block(103), timestamp=ONE.deadline + GRACE_S + 1))
    assert yard.flight.airborne == {}
    yard.wire.used = 11
    for number in (104, 105):
        await yard.tend(number)
        yard.clock.seconds += UNEXPLAINED_S
    assert "nonce 10 was used" in (yard.standing.halted or "")


async def test_what_is_surely_somebody_else_s_is_said_beside_what_is_not_clear(yard: Yard) -> None:
    await given_up(yard, 10)
    yard.wire.used = 12
    await yard.tend(101)
    assert "nonce 11 was used" in (yard.standing.halted or "")


async def restarted(yard: Yard) -> None:
    """Forget what is in memory, and begin anew."""
    highest = await yard.journal.highest_nonce(SIGNER.address)
    nonces = NonceKeeper(yard.wire, SIGNER.address, highest=highest, now=yard.clock.monotonic)
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
    yard.clock.seconds += UNEXPLAINED_S
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
