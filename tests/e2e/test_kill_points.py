"""Killed at every step between a plan and its outcome, and started again: nothing twice or lost."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keeper.core.plan import Status
from tests.support.dying_keeper import LATE_STEPS, PREARMED_STEPS, STEPS
from tests.support.keeper_process import ARMED, until
from tests.support.market_node import MarketNode
from tests.support.sending_stage import (
    CHEAP,
    DIPPED,
    FALLEN,
    TELLING,
    SendingStage,
    armed,
    ready_shots,
    stop,
)
from tests.support.sending_stage import stage as staged


@pytest.fixture
def stage(market_copy: MarketNode, tmp_path: Path) -> SendingStage:
    return staged(market_copy, tmp_path)


def run_until_it_dies(stage, step, fall):
    """Run a keeper that kills itself at the step, through a fall of the prices and its blocks."""
    log = stage.folder / "dying.log"
    words = [sys.executable, "-m", "tests.support.dying_keeper", step, "run", "--arm"]
    with log.open("w") as out:
        keeper = subprocess.Popen(
            [*words, "-c", str(stage.config)],
            stdout=out,
            stderr=out,
            env={**os.environ, **ARMED, **TELLING},
        )
    try:
        until(lambda: "block.scanned" in log.read_text() or keeper.poll() is not None)
        if step in PREARMED_STEPS:
            until(lambda: ready_shots(log.read_text()) or keeper.poll() is not None)
        fall()
        if step in {"between receipt and books", "after the first outcome"}:
            until(lambda: "liquidation.sent" in log.read_text())
            stage.mine(base_fee=CHEAP)
        until(lambda: keeper.poll() is not None, log.read_text)
        assert keeper.returncode == -signal.SIGKILL, log.read_text()
    finally:
        keeper.kill()
        keeper.wait()


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_every_liquidation_lands_once_and_the_books_are_the_chain(stage, step):
    live_through(stage, step, lambda: stage.move(FALLEN, base_fee=CHEAP), least=4)


@pytest.mark.parametrize("step", LATE_STEPS)
def test_killed_with_nothing_signed_before_its_rehearsal_is_over_it_is_the_same(stage, step):
    stage.configure(batch={"most": 2, "risk_bps": 10_000})
    live_through(stage, step, lambda: stage.move(FALLEN, base_fee=CHEAP), least=4)


@pytest.mark.parametrize("step", PREARMED_STEPS)
def test_killed_with_transactions_signed_ahead_nothing_is_sent_twice_or_lost(stage, step):
    stage.configure(prearm_accounts=8)
    stage.limit(slippage_bps=500)
    live_through(stage, step, lambda: stage.push(DIPPED), least=1)


def live_through(stage, step, fall, *, least):
    """Die at the step, run again, and hold the books to the chain."""
    run_until_it_dies(stage, step, fall)
    with armed(stage) as keeper:
        for _ in range(3):
            stage.mine_seen(keeper, base_fee=CHEAP)
        stage.settle(keeper)
        stop(keeper)
    books = stage.books()
    assert books.open_intents == 0
    landed = [entry for entry in books.entries if entry.status is Status.LANDED]
    assert len(landed) >= least
    assert len({entry.account for entry in landed}) == len(landed)
    assert {entry.status for entry in books.entries} <= {Status.LANDED, Status.DROPPED}
    sent = int(stage.rpc("eth_getTransactionCount", stage.operator, "latest"), 16)
    assert sent == len(landed)
    assert books.total.realised.net == stage.grown()


def test_what_the_node_lost_with_its_memory_and_another_one_lands_is_in_the_books(stage):
    stage.configure(prearm_accounts=8, halt_file="halt")
    stage.limit(slippage_bps=500)
    run_until_it_dies(stage, "between writing and its record", lambda: stage.push(DIPPED))
    armed_ahead = stage.sql(
        "SELECT tx_hash, raw, account FROM submissions JOIN intents USING (plan_id)"
        " WHERE intents.status = 'armed'"
    )
    out = [one for one in armed_ahead if stage.rpc("eth_getTransactionByHash", one[0])]
    (tx_hash, raw, account), *_ = out
    stage.rpc("anvil_dropAllTransactions")
    (stage.folder / "halt").touch()  # it only watches: nothing of its own takes the nonce first
    with armed(stage) as keeper:
        stage.mine_seen(keeper, base_fee=CHEAP)
        assert len(stage.sql("SELECT * FROM intents WHERE status = 'armed'")) == len(armed_ahead)
        assert stage.rpc("eth_sendRawTransaction", f"0x{raw.hex()}") == tx_hash
        for _ in range(3):
            stage.mine_seen(keeper, base_fee=CHEAP)
        stage.settle(keeper)
        assert keeper.events("prearm.found_sent")
        assert not keeper.events("key.used_elsewhere")
        stop(keeper)
    (landed,) = [one for one in stage.books().entries if one.status is Status.LANDED]
    assert (landed.tx_hash, landed.account) == (tx_hash, account)
    assert landed.realised.net == stage.grown()
