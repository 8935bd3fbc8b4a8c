"""A keeper that is killed in the middle of a crash and started again."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keeper.commands.local_run import Purse
from keeper.devnet.crash import CrashStep, crash
from keeper.ledger.books import read_books
from tests.support.chain_books import assert_books_are_the_chain
from tests.support.keeper_process import (
    ARMED,
    KeeperProcess,
    configured,
    running_keeper,
    until,
    with_executor,
)
from tests.support.market_node import MarketNode

SIGNED, SENT, LANDED = "nothing yet", "liquidation.sent", "liquidation.settled"


@pytest.mark.parametrize("moment", [SIGNED, SENT, LANDED])
def test_killed_in_a_crash_nothing_is_sent_twice_and_the_books_are_complete(
    market_copy: MarketNode, tmp_path: Path, moment: str
) -> None:
    rpc, who = market_copy.live.rpc, market_copy.market.accounts
    executor = with_executor(market_copy)
    rpc.call("evm_setAutomine", False)
    config = configured(tmp_path, market_copy, mode="live", executor=executor)
    purse = Purse(
        operator=who.keeper, recipient=who.recipient, wrapped_native=market_copy.market.weth
    )
    before = purse.count(rpc)
    steps = crash(market_copy.live)
    with running_keeper(config, "--arm", environment=ARMED) as keeper:
        _fall(steps, 5)
        _kill_at(keeper, moment, mine=lambda: rpc.call("evm_mine"))
    with running_keeper(config, "--arm", environment=ARMED) as keeper:
        _finish(keeper, steps, mine=lambda: rpc.call("evm_mine"))
    books = read_books(tmp_path / "keeper.sqlite")
    assert books.open_intents == 0
    assert books.total.realised.net == purse.count(rpc) - before
    assert_books_are_the_chain(books, market_copy, executor)


def _fall(steps: Iterator[CrashStep], count: int) -> None:
    for _ in zip(range(count), steps, strict=False):
        pass


def _kill_at(keeper: KeeperProcess, moment: str, *, mine: Callable[[], object]) -> None:
    """Kill the keeper as soon as it has said so much, and let what it sent be mined."""
    if moment == LANDED:
        until(lambda: bool(keeper.events(SENT)))
        mine()
    if moment != SIGNED:
        until(lambda: bool(keeper.events(moment)))
    keeper.kill()
    mine()


def _finish(
    keeper: KeeperProcess, steps: Iterator[CrashStep], *, mine: Callable[[], object]
) -> None:
    """Let the crash end, with time enough for what the kill left open to run out."""
    _fall(steps, 8)
    for _ in range(25):
        seen = len(keeper.events("block.scanned"))
        mine()
        until(lambda seen=seen: len(keeper.events("block.scanned")) > seen)
    keeper.drain(mine)


def test_a_second_ctrl_c_ends_it_at_once_and_leaves_what_is_in_flight_to_the_next_run(
    market_copy: MarketNode, tmp_path: Path
) -> None:
    rpc = market_copy.live.rpc
    executor = with_executor(market_copy)
    rpc.call("evm_setAutomine", False)
    config = configured(tmp_path, market_copy, mode="live", executor=executor)
    with running_keeper(config, "--arm", environment=ARMED) as keeper:
        _fall(crash(market_copy.live), 5)
        until(lambda: bool(keeper.events(SENT)))
        keeper.process.send_signal(signal.SIGINT)
        until(lambda: any(line.startswith("stopping") for line in keeper.lines))
        assert keeper.interrupt(timeout_s=20) == 128 + signal.SIGINT
    said = [line for line in keeper.lines if not line.startswith("{")]
    assert not [line for line in said if "Traceback" in line]
    assert len([line for line in said if line.startswith("stopping")]) == 1
    assert read_books(tmp_path / "keeper.sqlite").open_intents > 0
