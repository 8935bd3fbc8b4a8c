"""A keeper that is stopped and started again before the next block."""

from pathlib import Path

from keeper.core.plan import Status
from keeper.devnet.crash import crash
from keeper.ledger.books import read_books
from tests.support.keeper_process import configured, running_keeper, until
from tests.support.market_node import MarketNode


def test_started_twice_in_one_block_it_shows_the_same_plans_again(
    market_copy: MarketNode, tmp_path: Path
) -> None:
    config = configured(tmp_path, market_copy, mode="observe")
    for _ in zip(range(4), crash(market_copy.live), strict=False):
        pass
    shown = []
    for _ in range(2):
        with running_keeper(config) as keeper:
            until(lambda: bool(keeper.events("liquidation.shown")))
            until(lambda: len(keeper.events("block.scanned")) >= 1)
            assert keeper.interrupt() == 0
            shown.append({str(one["plan"]) for one in keeper.events("liquidation.shown")})
    assert shown[0] & shown[1]
    books = read_books(tmp_path / "keeper.sqlite")
    assert {entry.status for entry in books.entries} == {Status.SIMULATED}
    accounts = [entry.account for entry in books.entries]
    assert len(accounts) == len(set(accounts))
