"""What is done about a transaction that missed its block, and in which order."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from keeper.core.chain import DataCost, Fees, next_base_fee
from keeper.core.gas_limit import CANCEL_GAS
from keeper.core.plan import Purpose, Status, Submission
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.executor.flight import Flight
from keeper.executor.ladder import bumped
from keeper.executor.lanes.lane import Delivery, Refused, Taken, Uncertain
from keeper.executor.policy import Exposure, worst_gas
from keeper.executor.taking_back import GIVEN_UP
from keeper.executor.tending import CANCELLED, RAISED, RESENT
from tests.support.eventually import PATIENCE_S
from tests.support.ledger_records import EXECUTOR, block, hash32, opened, plan
from tests.support.signed_plans import ONE, SIGNER, TWO
from tests.support.tending_yard import HEAD, Yard, decoded, yard_in

OTHER = Address("0x" + "0b" * 20)


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    async with yard_in(tmp_path) as made:
        yield made


def recorded(folder: Path, one: Submission) -> str:
    """Return how the journal has a transaction."""
    with closing(sqlite3.connect(folder / "keeper.sqlite")) as db:
        query = "SELECT status FROM submissions WHERE tx_hash = ?"
        found: str = db.execute(query, (one.tx_hash,)).fetchone()[0]
        return found


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


async def test_what_the_limits_of_now_do_not_let_through_is_cancelled_before_it_is_overdue(
    yard: Yard,
) -> None:
    await yard.send(ONE, 5)
    await yard.send(TWO, 6)
    yard.limits = replace(yard.limits, targets=frozenset({SIGNER.address}))
    with capture_logs() as lines:
        cancels = await yard.tend(HEAD.number - 1)
        assert await yard.tend(HEAD.number - 1) == []
    assert [(one.nonce, one.purpose) for one in cancels] == [
        (5, Purpose.CANCEL),
        (6, Purpose.CANCEL),
    ]
    said = f"it calls {EXECUTOR}, which is not the executor contract"
    assert [one["why"] for one in lines if one["event"] == GIVEN_UP] == [said, said]
    assert yard.node.rounds == []


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
