"""Transactions that miss their block: raised, cancelled, sent again, on a node that mines by hand.

The keeper is a process of its own; the fee rule asked for is go-ethereum's, which anvil would not.
"""

import itertools
from pathlib import Path

import pytest

from keeper.core.plan import Status
from tests.support.keeper_process import until
from tests.support.market_node import MarketNode
from tests.support.sending_stage import CHEAP, DEAR, FALLEN, GWEI, RISEN, SendingStage, armed, stop
from tests.support.sending_stage import stage as staged

SENT, RAISED, CANCELLED = "liquidation.sent", "transaction.raised", "transaction.cancelled"


@pytest.fixture
def stage(market_copy: MarketNode, tmp_path: Path) -> SendingStage:
    return staged(market_copy, tmp_path)


def assert_one_nonce_an_intent_and_each_rung_a_tenth_higher(stage):
    """Both fee fields grow by a tenth at least, and the nonce is the intent's only one."""
    by_plan = {}
    for plan, nonce, max_fee, priority_fee, _, _ in stage.attempts():
        by_plan.setdefault(plan, []).append((nonce, int(max_fee), int(priority_fee)))
    for rungs in by_plan.values():
        assert len({nonce for nonce, _, _ in rungs}) == 1
        for (_, before, tip_before), (_, after, tip_after) in itertools.pairwise(rungs):
            assert after * 100 >= before * 110
            assert tip_after * 100 >= tip_before * 110
    nonces = {rungs[0][0] for rungs in by_plan.values()}
    assert len(nonces) == len(by_plan)


def test_a_base_fee_that_leaps_is_met_by_replacements_and_each_intent_lands_once(stage):
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        stage.until_sent(keeper)
        stage.mine_seen(keeper, base_fee=DEAR)
        until(lambda: bool(keeper.events(RAISED)))
        assert stage.books().entries == ()
        stage.mine_seen(keeper, base_fee=CHEAP)
        stage.settle(keeper)
        stop(keeper)
    books = stage.books()
    assert books.open_intents == 0
    assert {entry.status for entry in books.entries} == {Status.LANDED}
    assert len(stage.attempts()) > len(books.entries)
    assert_one_nonce_an_intent_and_each_rung_a_tenth_higher(stage)
    assert books.total.realised.net == stage.grown()


def test_the_ladder_ends_at_the_cap_on_the_gas_price(stage):
    cap = 20 * GWEI
    stage.limit(max_gas_price_wei=str(cap))
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        stage.until_sent(keeper)
        for _ in range(4):
            stage.mine_seen(keeper, base_fee=DEAR)
        assert not keeper.events(RAISED)
        stage.settle(keeper)
        stop(keeper)
    assert all(int(max_fee) <= cap for _, _, max_fee, _, _, _ in stage.attempts())
    assert {entry.status for entry in stage.books().entries} == {Status.LANDED}
    assert stage.books().total.realised.net == stage.grown()


def test_accounts_that_recover_are_cancelled_and_the_books_know_what_it_cost(stage):
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        stage.until_sent(keeper)
        stage.move(RISEN, base_fee=DEAR)
        until(lambda: len(keeper.events(CANCELLED)) == len(keeper.events(SENT)))
        stage.settle(keeper)
        stop(keeper)
    books = stage.books()
    assert books.open_intents == 0
    assert {entry.status for entry in books.entries} == {Status.CANCELLED}
    assert {entry.realised.penalty for entry in books.entries} == {0}
    assert books.total.realised.net == stage.grown() < 0
    assert_one_nonce_an_intent_and_each_rung_a_tenth_higher(stage)


def test_a_transaction_that_the_node_lost_is_sent_again_as_it_is(stage):
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        stage.until_sent(keeper)
        sent = len(keeper.events(SENT))
        stage.rpc("anvil_dropAllTransactions")
        stage.mine_seen(keeper, base_fee=CHEAP)
        until(lambda: len(keeper.events("transaction.resent")) >= sent)
        stage.settle(keeper)
        stop(keeper)
    books = stage.books()
    assert {entry.status for entry in books.entries} == {Status.LANDED}
    assert len(stage.attempts()) == len(books.entries)
    assert books.total.realised.net == stage.grown()


def test_a_gap_in_the_nonces_is_filled_by_the_transaction_that_was_lost(stage):
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        stage.until_sent(keeper, 3)
        first = min(keeper.events(SENT), key=lambda event: event["nonce"])
        stage.rpc("anvil_dropTransaction", first["tx"])
        stage.mine_seen(keeper, base_fee=CHEAP)
        until(lambda: bool(keeper.events("transaction.resent")))
        stage.settle(keeper)
        stop(keeper)
    assert {entry.status for entry in stage.books().entries} == {Status.LANDED}
    assert stage.books().total.realised.net == stage.grown()


def test_stuck_transactions_of_a_killed_keeper_are_finished_by_the_next(stage):
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        stage.until_sent(keeper)
        keeper.kill()
    stage.rpc("anvil_dropAllTransactions")
    stage.mine(base_fee=DEAR)
    with armed(stage) as keeper:
        stage.settle(keeper)
        stop(keeper)
    books = stage.books()
    assert {entry.status for entry in books.entries} == {Status.LANDED}
    assert_one_nonce_an_intent_and_each_rung_a_tenth_higher(stage)
    assert books.total.realised.net == stage.grown()


def reorged(stage, keeper, raws=()):
    """Take the last block back and mine another in its place, with these transactions in it.

    By ``evm_revert``: on a fork ``anvil_reorg`` rolls nonces back but not storage.
    """
    seen = len(keeper.events("block.scanned"))
    stage.rpc("evm_revert", stage.kept)
    stage.rpc("anvil_dropAllTransactions")
    for raw in raws:
        stage.rpc("eth_sendRawTransaction", "0x" + raw.hex())
    stage.mine(base_fee=CHEAP + 1)
    until(lambda: len(keeper.events("block.scanned")) > seen)


def land(stage, keeper):
    """Let the price fall and a block take what the keeper sent; return how many landed."""
    stage.move(FALLEN, base_fee=CHEAP)
    stage.until_sent(keeper)
    stage.kept = stage.rpc("evm_snapshot")
    stage.mine_seen(keeper, base_fee=CHEAP)
    until(lambda: bool(keeper.events("liquidation.settled")))
    return len(stage.books().entries)


def test_a_landed_outcome_whose_block_is_reorged_away_is_undone_and_lands_again(stage):
    with armed(stage) as keeper:
        landed = land(stage, keeper)
        reorged(stage, keeper)
        until(lambda: len(keeper.events("transaction.resent")) >= landed)
        assert stage.books().entries == ()
        assert stage.books().open_intents == landed
        stage.settle(keeper)
        stop(keeper)
    books = stage.books()
    assert books.open_intents == 0
    assert len(stage.attempts()) == len(books.entries)
    assert {entry.status for entry in books.entries} == {Status.LANDED}
    assert books.total.realised.net == stage.grown()


def test_a_landed_outcome_that_a_reorg_moved_is_corrected(stage):
    with armed(stage) as keeper:
        landed = land(stage, keeper)
        before = stage.books().total.realised.gas
        raws = [raw for (raw,) in stage.sql("SELECT raw FROM submissions ORDER BY nonce")]
        reorged(stage, keeper, raws)
        until(lambda: len(keeper.events("outcome.corrected")) >= landed)
        assert stage.books().total.realised.gas > before
        stage.settle(keeper)
        stop(keeper)
    books = stage.books()
    assert len(stage.attempts()) == len(books.entries)
    assert {entry.status for entry in books.entries} == {Status.LANDED}
    assert books.total.realised.net == stage.grown()


def test_an_outcome_undone_while_the_keeper_was_off_is_corrected_by_the_next(stage):
    with armed(stage) as keeper:
        landed = land(stage, keeper)
        stop(keeper)
    stage.rpc("evm_revert", stage.kept)
    stage.rpc("anvil_dropAllTransactions")
    stage.mine(base_fee=CHEAP + 1)
    with armed(stage) as keeper:
        until(lambda: len(keeper.events("transaction.resent")) >= landed)
        stage.settle(keeper)
        stop(keeper)
    books = stage.books()
    assert len(stage.attempts()) == len(books.entries)
    assert {entry.status for entry in books.entries} == {Status.LANDED}
    assert books.total.realised.net == stage.grown()
