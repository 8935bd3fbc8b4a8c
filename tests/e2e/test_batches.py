"""Several accounts in one transaction: killed on the way, reorged, stuck. Books are the chain."""

from pathlib import Path

import pytest

from keeper.core.plan import Status
from tests.e2e.test_kill_points import run_until_it_dies
from tests.e2e.test_stuck import CANCELLED, SENT, land, reorged
from tests.support.keeper_process import until
from tests.support.market_node import MarketNode
from tests.support.sending_stage import CHEAP, DEAR, FALLEN, RISEN, SendingStage, armed, stop
from tests.support.sending_stage import stage as staged


@pytest.fixture
def stage(market_copy: MarketNode, tmp_path: Path) -> SendingStage:
    made = staged(market_copy, tmp_path)
    made.configure(batch={"most": 10, "risk_bps": 0})
    return made


def carried(stage):
    """Return how many accounts go by the transaction of another one."""
    return stage.sql("SELECT count(*) FROM intents WHERE carried_by IS NOT NULL")[0][0]


def assert_the_books_are_the_chain(stage, statuses):
    books = stage.books()
    assert books.open_intents == 0
    assert {entry.status for entry in books.entries} == statuses
    paid = {entry.tx_hash for entry in books.entries if entry.counts}
    assert int(stage.rpc("eth_getTransactionCount", stage.operator, "latest"), 16) == len(paid)
    assert books.total.realised.net == stage.grown()
    landed = [entry.account for entry in books.entries if entry.status is Status.LANDED]
    assert len(set(landed)) == len(landed)
    return books


@pytest.mark.parametrize("step", ["between journal and sending", "between receipt and books"])
def test_killed_with_a_batch_on_the_way_each_account_lands_once_and_is_in_the_books(stage, step):
    run_until_it_dies(stage, step, lambda: stage.move(FALLEN, base_fee=CHEAP))
    together = carried(stage)
    assert together >= 2
    with armed(stage) as keeper:
        for _ in range(3):
            stage.mine_seen(keeper, base_fee=CHEAP)
        stage.settle(keeper)
        stop(keeper)
    books = assert_the_books_are_the_chain(stage, {Status.LANDED})
    assert len(books.entries) > together
    assert len(stage.attempts()) < len(books.entries)


def test_a_batch_whose_block_is_reorged_away_is_undone_for_each_account_and_lands_again(stage):
    with armed(stage) as keeper:
        landed = land(stage, keeper)
        assert carried(stage) >= 2
        reorged(stage, keeper)
        until(lambda: bool(keeper.events("transaction.resent")))
        until(lambda: stage.books().open_intents == landed)
        assert stage.books().entries == ()
        stage.settle(keeper)
        stop(keeper)
    assert_the_books_are_the_chain(stage, {Status.LANDED})


def test_a_batch_whose_accounts_recover_is_cancelled_and_each_bears_its_part(stage):
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        stage.until_sent(keeper)
        assert carried(stage) >= 2
        sent = {event["tx"] for event in keeper.events(SENT)}
        stage.move(RISEN, base_fee=DEAR)
        until(lambda: len(keeper.events(CANCELLED)) == len(sent))
        stage.settle(keeper)
        stop(keeper)
    books = assert_the_books_are_the_chain(stage, {Status.CANCELLED})
    assert all(entry.realised.gas > 0 for entry in books.entries)
