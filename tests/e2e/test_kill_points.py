"""Killed at every step between a plan and its outcome, and started again: nothing twice or lost."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keeper.core.plan import Status
from tests.support.dying_keeper import STEPS
from tests.support.keeper_process import ARMED, until
from tests.support.market_node import MarketNode
from tests.support.sending_stage import CHEAP, FALLEN, SendingStage, armed, stop
from tests.support.sending_stage import stage as staged


@pytest.fixture
def stage(market_fork: MarketNode, tmp_path: Path) -> SendingStage:
    return staged(market_fork, tmp_path)


def run_until_it_dies(stage, step):
    """Run a keeper that kills itself at the step, through a fall of the prices and its blocks."""
    log = stage.folder / "dying.log"
    words = [sys.executable, "-m", "tests.support.dying_keeper", step, "run", "--arm"]
    with log.open("w") as out:
        keeper = subprocess.Popen(
            [*words, "-c", str(stage.config)],
            stdout=out,
            stderr=out,
            env={**os.environ, **ARMED},
        )
    try:
        until(lambda: "block.scanned" in log.read_text() or keeper.poll() is not None)
        stage.move(FALLEN, base_fee=CHEAP)
        if step in {"between receipt and books", "after the first outcome"}:
            until(lambda: "liquidation.sent" in log.read_text())
            stage.mine(base_fee=CHEAP)
        until(lambda: keeper.poll() is not None)
        assert keeper.returncode == -signal.SIGKILL, log.read_text()
    finally:
        keeper.kill()
        keeper.wait()


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_every_liquidation_lands_once_and_the_books_are_the_chain(stage, step):
    run_until_it_dies(stage, step)
    with armed(stage) as keeper:
        for _ in range(3):
            stage.mine_seen(keeper, base_fee=CHEAP)
        stage.settle(keeper)
        stop(keeper)
    books = stage.books()
    assert books.open_intents == 0
    landed = [entry for entry in books.entries if entry.status is Status.LANDED]
    assert len(landed) >= 4
    assert len({entry.account for entry in landed}) == len(landed)
    assert {entry.status for entry in books.entries} <= {Status.LANDED, Status.DROPPED}
    sent = int(stage.rpc("eth_getTransactionCount", stage.operator, "latest"), 16)
    assert sent == len(landed)
    assert books.total.realised.net == stage.grown()
