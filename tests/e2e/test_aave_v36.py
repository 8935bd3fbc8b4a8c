"""The whole keeper on Aave V3.6: a crash, its liquidations, and the books."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.commands.local_run import Purse
from keeper.core.plan import Status
from keeper.devnet.crash import crash
from keeper.devnet.live import account_data
from keeper.ledger.books import Books, read_books
from tests.support.chain_books import assert_books_are_the_chain
from tests.support.keeper_process import (
    ARMED,
    KeeperProcess,
    configured,
    running_keeper,
    until,
    with_executor,
)
from tests.support.market_node import MarketNode, built_market

QUIET_BLOCKS = 3


@pytest.fixture
def node(anvil_binary: Path) -> Iterator[MarketNode]:
    with built_market(anvil_binary, seed=2, borrowers=100, aave="3.6") as built:
        yield built


def test_a_crash_is_liquidated_and_the_books_are_the_chain(
    node: MarketNode, tmp_path: Path
) -> None:
    rpc, who = node.live.rpc, node.market.accounts
    executor = with_executor(node)
    rpc.call("evm_setAutomine", False)
    config = configured(tmp_path, node, mode="live", executor=executor)
    purse = Purse(operator=who.keeper, recipient=who.recipient, wrapped_native=node.market.weth)
    before = purse.count(rpc)
    with running_keeper(config, "--arm", environment=ARMED) as keeper:
        for _ in crash(node.live):
            _settle(node, keeper)
        assert keeper.interrupt() == 0, "".join(keeper.lines)
    books = read_books(tmp_path / "keeper.sqlite")
    assert books.open_intents == 0
    assert books.total.realised.net == purse.count(rpc) - before
    assert_books_are_the_chain(books, node, executor)
    assert {entry.status for entry in books.entries} == {Status.LANDED}
    _assert_nobody_is_forgotten(books, node)


def test_the_demo_runs_on_it() -> None:
    command = [sys.executable, "-m", "keeper", "demo", "--aave", "3.6", "--borrowers", "60"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    landed = re.search(r"ok: (\d+) liquidations landed, 0 reverted", done.stderr)
    assert landed is not None, done.stderr
    assert int(landed[1]) >= 10


def test_an_unknown_release_is_refused_in_a_line() -> None:
    command = [sys.executable, "-m", "keeper", "demo", "--aave", "2.0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode != 0
    assert "--aave: expected one of 3.0, 3.6, found '2.0'" in done.stderr
    assert "Traceback" not in done.stderr


def _settle(node: MarketNode, keeper: KeeperProcess) -> None:
    """Mine until the keeper has sent nothing new for a few blocks."""
    quiet = 0
    while quiet < QUIET_BLOCKS:
        sent, seen = len(keeper.events("liquidation.sent")), len(keeper.events("block.scanned"))
        node.live.rpc.call("evm_mine")
        until(lambda seen=seen: len(keeper.events("block.scanned")) > seen)
        time.sleep(0.3)  # a block is scanned before it is acted on
        now = len(keeper.events("liquidation.sent"))
        open_ones = now > len(keeper.events("liquidation.settled"))
        quiet = 0 if open_ones or now != sent else quiet + 1


def _assert_nobody_is_forgotten(books: Books, node: MarketNode) -> None:
    """Whoever is still under the line was left for a reason; what is written off is nobody's."""
    accounts = node.market.borrowers
    explained = {one.account for one in books.missed}
    for account, data in zip(accounts, account_data(node.live, accounts), strict=True):
        assert data.health_factor >= 10**18 or account in explained
