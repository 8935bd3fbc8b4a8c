"""A backup that is put back under an armed keeper: what the chain tells it, and what is lost."""

from pathlib import Path

import pytest

from keeper.core.plan import Status
from tests.support.backups import back_up
from tests.support.keeper_process import until
from tests.support.market_node import MarketNode
from tests.support.sending_stage import CHEAP, FALLEN, SendingStage, armed, stop
from tests.support.sending_stage import stage as staged

FURTHER, FURTHEST = 8_000, 7_500
"""Prices of ether in basis points at which more loans are under the line, and more again."""


@pytest.fixture
def stage(market_copy: MarketNode, tmp_path: Path) -> SendingStage:
    return staged(market_copy, tmp_path)


def put_back(copy: Path, database: Path) -> None:
    """As the documentation says: what is of the other database's process goes."""
    for one in ("-wal", "-shm", ".spool"):
        database.with_name(database.name + one).unlink(missing_ok=True)
    copy.replace(database)


def test_a_backup_put_back_settles_what_it_knows_and_says_what_it_does_not(stage):
    database, copy = stage.folder / "keeper.sqlite", stage.folder / "copy.sqlite"
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        stage.until_sent(keeper)
        back_up(database, copy)
        stage.settle(keeper)
        stage.move(FURTHER, base_fee=CHEAP)
        stage.until_sent(keeper, len(keeper.events("liquidation.sent")) + 1)
        stage.settle(keeper)
        stop(keeper)
    whole = {one.account: one.realised for one in stage.books().entries}
    put_back(copy, database)
    known = {account for (account,) in stage.sql("SELECT account FROM intents")}
    assert known
    assert whole.keys() - known
    lost = sum(one.net for account, one in whole.items() if account not in known)

    with armed(stage) as keeper:
        until(lambda: bool(keeper.events("key.used_elsewhere")))
        stage.settle(keeper)
        found = {one.account: one.realised for one in stage.books().entries}
        assert found == {account: whole[account] for account in known}
        stage.move(FURTHEST, base_fee=CHEAP)
        stage.until_sent(keeper)
        stage.settle(keeper)
        assert all(one["while_off"] is True for one in keeper.events("key.used_elsewhere"))
        assert not keeper.events("sending.halted")
        stop(keeper)
    books = stage.books()
    assert len(books.entries) > len(known)
    assert {one.status for one in books.entries} == {Status.LANDED}
    assert books.total.realised.net == stage.grown() - lost
