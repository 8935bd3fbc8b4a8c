"""A disk that fills up in the middle of a crash: the keeper stops, and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

from keeper.commands.local_run import Purse
from keeper.commands.running import BROKEN
from keeper.devnet.crash import CrashStep, crash
from keeper.ledger.books import read_books
from tests.support.chain_books import assert_books_are_the_chain
from tests.support.keeper_process import (
    ARMED,
    KeeperProcess,
    configured,
    live_on,
    running_keeper,
    until,
    with_executor,
)
from tests.support.market_node import MarketNode

ROOM_KB = 64
"""What the fullest file may still grow by: a start fits in it, a dozen liquidations do not."""


def test_a_full_disk_stops_the_keeper_and_a_restart_completes_the_books(
    market_copy: MarketNode, tmp_path: Path
) -> None:
    rpc, who = market_copy.live.rpc, market_copy.market.accounts
    executor = with_executor(market_copy)
    config = configured(tmp_path, market_copy, mode="live", executor=executor)
    purse = Purse(
        operator=who.keeper, recipient=who.recipient, wrapped_native=market_copy.market.weth
    )
    had = purse.count(rpc)
    with running_keeper(config) as keeper:
        assert keeper.interrupt() == 0
    rpc.call("evm_setAutomine", False)
    steps = crash(market_copy.live)
    database = tmp_path / "keeper.sqlite"
    most = database.stat().st_size // 1024 + ROOM_KB
    limited = ("bash", "-c", 'ulimit -f "$0" && exec "$@"', str(most))
    with running_keeper(config, "--arm", environment=ARMED, before=limited) as keeper:
        fall(steps, 8)
        live_on(keeper, rpc, blocks=25)
        assert keeper.process.wait() == BROKEN
        until(lambda: bool(errors(keeper)))
    (said,) = errors(keeper)
    assert said.startswith(f"error: {database}: expected ")
    assert " on disk, found: " in said
    with running_keeper(config, "--arm", environment=ARMED) as keeper:
        fall(steps, 8)
        live_on(keeper, rpc, blocks=16)
        keeper.drain(lambda: rpc.call("evm_mine"))
    books = read_books(database)
    assert books.open_intents == 0
    assert books.total.realised.net == purse.count(rpc) - had
    assert_books_are_the_chain(books, market_copy, executor)


def fall(steps: Iterator[CrashStep], count: int) -> None:
    for _ in zip(range(count), steps, strict=False):
        pass


def errors(keeper: KeeperProcess) -> list[str]:
    return [line for line in keeper.lines if line.startswith("error: ")]
