"""The kill switch and the circuit breaker: sending stops at once, and only a person resumes it."""

import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from keeper.core.plan import Status
from keeper.ledger.standing import read_standing
from tests.support.keeper_process import ARMED, PATIENCE_S, until
from tests.support.market_node import MarketNode
from tests.support.sending_stage import CHEAP, DEAR, FALLEN, SendingStage, armed, stop
from tests.support.sending_stage import stage as staged

SENT, HALTED, RESUMED = "liquidation.sent", "sending.halted", "sending.resumed"
DEEPER = 8_000


@pytest.fixture
def stage(market_copy: MarketNode, tmp_path: Path) -> SendingStage:
    return staged(market_copy, tmp_path)


def halted_rejections(keeper):
    return [one for one in keeper.events("liquidation.rejected") if one["reason"] == "halted"]


def assert_nothing_more_is_sent(stage, keeper):
    """Prices fall further: the keeper sees it, says why it does nothing, and does nothing."""
    sent = len(keeper.events(SENT))
    stage.move(DEEPER, base_fee=CHEAP)
    until(lambda: bool(halted_rejections(keeper)))
    assert len(keeper.events(SENT)) == sent


def assert_rearming_resumes(stage, keeper):
    sent = len(keeper.events(SENT))
    done = stage.command("rearm")
    assert done.returncode == 0, done.stderr
    assert "sending may go on with the next block; it had been halted" in done.stderr
    stage.mine_seen(keeper, base_fee=CHEAP)
    until(lambda: bool(keeper.events(RESUMED)))
    assert datetime.fromisoformat(keeper.events(RESUMED)[-1]["rearmed"]).tzinfo is UTC
    stage.mine_seen(keeper, base_fee=CHEAP)
    until(lambda: len(keeper.events(SENT)) > sent)
    stage.settle(keeper)


def test_a_signal_cancels_what_is_in_flight_and_halts_beyond_a_restart(stage):
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        stage.until_sent(keeper)
        keeper.process.send_signal(signal.SIGUSR1)
        until(lambda: len(keeper.events("transaction.cancelled")) >= len(keeper.events(SENT)))
        assert keeper.events(HALTED)[0]["why"] == "kill switch: signal SIGUSR1"
        stage.settle(keeper)
        assert {entry.status for entry in stage.books().entries} == {Status.CANCELLED}
        keeper.kill()
    with armed(stage) as keeper:
        assert keeper.events(HALTED)[0]["why"] == "kill switch: signal SIGUSR1"
        assert_nothing_more_is_sent(stage, keeper)
        assert_rearming_resumes(stage, keeper)
        stop(keeper)
    books = stage.books()
    assert {entry.status for entry in books.entries} == {Status.CANCELLED, Status.LANDED}
    assert books.total.realised.net == stage.grown()


def test_a_signal_while_the_chain_is_being_opened_is_on_disk_at_once(stage, tmp_path):
    with armed(stage) as keeper:
        stop(keeper)
    database = tmp_path / "keeper.sqlite"
    assert read_standing(database).halted is None
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        chain = tmp_path / yaml.safe_load(stage.config.read_text("utf-8"))["chain"]
        settings = yaml.safe_load(chain.read_text("utf-8"))
        chain.write_text(yaml.safe_dump(settings | {"rpc": [url]}), "utf-8")
        command = [sys.executable, "-m", "keeper", "run", "-c", str(stage.config), "--arm"]
        process = subprocess.Popen(command, env={**os.environ, **ARMED}, stderr=subprocess.DEVNULL)
        try:
            silent.settimeout(PATIENCE_S)
            waiting, _ = silent.accept()
            process.send_signal(signal.SIGUSR1)
            until(lambda: read_standing(database).halted == "kill switch: signal SIGUSR1")
            assert process.poll() is None
            waiting.close()
        finally:
            process.kill()
            process.wait()


def test_the_halt_file_stops_sending_and_rearming_needs_it_gone(stage, tmp_path):
    switch = tmp_path / "halt"
    stage.configure(halt_file="halt")
    with armed(stage) as keeper:
        switch.touch()
        stage.move(FALLEN, base_fee=CHEAP)
        until(lambda: bool(halted_rejections(keeper)))
        assert not keeper.events(SENT)
        refused = stage.command("rearm")
        assert refused.returncode == 2
        assert "expected the kill switch removed" in refused.stderr
        switch.unlink()
        stage.mine_seen(keeper, base_fee=CHEAP)
        assert not keeper.events(SENT)
        assert_rearming_resumes(stage, keeper)
        stop(keeper)
    assert stage.rpc("eth_getTransactionCount", stage.operator, "latest") != "0x0"


def test_the_breaker_halts_when_cancelling_has_cost_too_much(stage):
    stage.configure(breaker={"max_wasted_gas_per_hour_wei": "1 gwei"})
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        stage.until_sent(keeper)
        stage.move(10_000, base_fee=DEAR)
        until(lambda: bool(keeper.events("transaction.cancelled")))
        stage.settle(keeper)
        until(lambda: bool(keeper.events(HALTED)))
        assert "wei of gas wasted in an hour" in str(keeper.events(HALTED)[0]["why"])
        assert_nothing_more_is_sent(stage, keeper)
        stop(keeper)


def test_the_breaker_halts_after_reverts_in_a_row(stage):
    stage.configure(breaker={"max_reverts_in_row": 1})
    stage.limit(deadline_s=1)
    with armed(stage) as keeper:
        stage.move(FALLEN, base_fee=CHEAP)
        stage.until_sent(keeper)
        # The executor contract reverts in a block that is past the deadline.
        head = int(stage.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        stage.rpc("evm_setNextBlockTimestamp", head + 40)
        stage.mine_seen(keeper, base_fee=CHEAP)
        until(lambda: bool(keeper.events(HALTED)))
        assert "reverts in a row, the limit is 1" in str(keeper.events(HALTED)[0]["why"])
        assert {entry.status for entry in stage.books().entries} == {Status.REVERTED}
        assert stage.books().total.realised.net == stage.grown() < 0
        assert_nothing_more_is_sent(stage, keeper)
        stop(keeper)


def test_the_breaker_halts_when_no_block_comes(stage):
    stage.configure(breaker={"max_head_gap_s": 1})
    with armed(stage) as keeper:
        until(lambda: bool(keeper.events(HALTED)))
        assert keeper.events(HALTED)[0]["why"] == "circuit breaker: no new block for 1 s"
        os.kill(keeper.process.pid, 0)
        assert_nothing_more_is_sent(stage, keeper)
        stop(keeper)


def test_foreign_use_of_the_key_halts_until_somebody_rearms(stage):
    with armed(stage) as keeper:
        # Two blocks: by then the keeper has taken note of how far its key has got.
        stage.mine_seen(keeper, base_fee=CHEAP)
        stage.mine_seen(keeper, base_fee=CHEAP)
        stage.rpc("eth_sendTransaction", {
            "from": stage.operator, "to": stage.operator, "maxFeePerGas": hex(10**11),
        })  # fmt: skip
        stage.mine_seen(keeper, base_fee=CHEAP)
        until(lambda: bool(keeper.events(HALTED)))
        assert "nonce 0 was used by a transaction that is not ours" in str(
            keeper.events(HALTED)[0]["why"]
        )
        assert_nothing_more_is_sent(stage, keeper)
        assert_rearming_resumes(stage, keeper)
        stop(keeper)
    nonces = sorted(nonce for _, nonce, *_ in stage.attempts())
    assert nonces[0] == 1
    assert {entry.status for entry in stage.books().entries} == {Status.LANDED}


def test_foreign_use_of_the_key_is_only_told_when_the_operator_says_so(stage):
    stage.configure(on_foreign_nonce="resync")
    with armed(stage) as keeper:
        # Two blocks: by then the keeper has taken note of how far its key has got.
        stage.mine_seen(keeper, base_fee=CHEAP)
        stage.mine_seen(keeper, base_fee=CHEAP)
        stage.rpc("eth_sendTransaction", {
            "from": stage.operator, "to": stage.operator, "maxFeePerGas": hex(10**11),
        })  # fmt: skip
        stage.mine_seen(keeper, base_fee=CHEAP)
        until(lambda: bool(keeper.events("key.used_elsewhere")))
        stage.move(FALLEN, base_fee=CHEAP)
        stage.until_sent(keeper)
        stage.settle(keeper)
        assert not keeper.events(HALTED)
        stop(keeper)
    assert {entry.status for entry in stage.books().entries} == {Status.LANDED}
    assert stage.attempts()[0][1] == 1
