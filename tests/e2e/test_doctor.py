"""The doctor on the local market: what it finds good, and what it finds wrong."""

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from keeper.commands.doctor import doctor
from keeper.commands.rearm import rearm_sending
from keeper.commands.running import run_command
from keeper.ledger.journal import SqliteJournal
from keeper.ledger.store import ChainIdentity
from keeper.runtime.clock import SystemClock
from tests.support.command_output import Printed, json_lines
from tests.support.executor_stage import mine
from tests.support.keeper_process import configured, with_executor

DISARM = "0x83985082"
"""Of the executor's ``disarm()``."""


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """Return what was printed on stdout since the last time."""
    return lambda: capsys.readouterr().out


def test_doctor_finds_a_sound_market_good(market_copy, tmp_path, printed):
    executor = with_executor(market_copy)
    config = configured(tmp_path, market_copy, mode="observe", executor=executor)
    assert run_command(lambda: doctor(config, as_json=True)) is True
    found = json_lines(printed())
    assert all(list(one) == ["what", "good", "detail", "chain"] for one in found)
    assert all(one["good"] for one in found)
    what = [one["what"] for one in found]
    assert {"chain id", "multicall3", "executor", "aave_v3.local: market"} <= set(what)
    assert len([one for one in what if ": feed " in one]) == len(market_copy.market.assets)


def test_doctor_finds_what_keeps_it_from_sending(market_copy, tmp_path, printed):
    config = configured(tmp_path, market_copy, mode="observe")

    def sending() -> tuple[bool, str]:
        run_command(lambda: doctor(config, as_json=True))
        (found,) = [one for one in json_lines(printed()) if one["what"] == "sending"]
        return found["good"], found["detail"]

    assert sending() == (True, "not halted")
    genesis = market_copy.live.rpc.call("eth_getBlockByNumber", "0x0", False)["hash"]
    identity = ChainIdentity(chain_id=31337, genesis_hash=genesis)
    database = tmp_path / "keeper.sqlite"

    async def halted() -> None:
        journal = await SqliteJournal.open(database, identity, clock=SystemClock())
        await journal.halt("circuit breaker: a drill")
        await journal.close()

    asyncio.run(halted())
    said = "halted: circuit breaker: a drill; keeper rearm lets it go on"
    assert sending() == (False, said)
    rearm_sending(config, as_json=False)
    assert sending() == (True, "not halted")
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("UPDATE meta SET chain_id = 56")
    assert sending() == (False, f"{database}: expected a database of chain id 31337, found 56")
    database.unlink()
    switch = tmp_path / "HALT"
    switch.touch()
    with config.open("a", encoding="utf-8") as file:
        file.write(f"sending: {{halt_file: {switch}}}\n")
    assert sending() == (False, f"halted: the kill switch's file is there, {switch}")


def test_doctor_finds_guards_of_feeds_that_are_not_there(market_copy, tmp_path, printed):
    config = configured(tmp_path, market_copy, mode="observe")
    source = market_copy.market.asset("WBTC").feed
    second = f"{{kind: chainlink, feed: '{source}'}}"
    with (tmp_path / "aave_v3.local.yaml").open("a", encoding="utf-8") as file:
        file.write(
            f"heartbeats_s: {{WETH: 90000, '{source}': 90000, WETC: 60}}\n"
            "oracle:\n  max_moves_bps: {wEth: 100, DAI: 100}\n"
            f"  second_sources: {{PEPE: {second}}}\n"
        )
    assert run_command(lambda: doctor(config, as_json=True)) is False
    found = [one["detail"] for one in json_lines(printed()) if one["what"].endswith(": guards")]
    wanted = "expected the label or the source of one of its feeds"
    assert found == [
        f"heartbeats_s: {wanted}, found 'WETC'; did you mean 'WETH'?",
        f"oracle.max_moves_bps: {wanted}, found 'wEth'; did you mean 'WETH'?",
        f"oracle.second_sources: {wanted}, found 'PEPE'",
    ]


def test_doctor_finds_a_password_that_every_user_may_read(market_copy, tmp_path, printed):
    config = configured(tmp_path, market_copy, mode="observe")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        password = Path(folder) / "password"
        with config.open("a", encoding="utf-8") as file:
            keystore = Path(folder) / "key.json"
            file.write(f"operator: {{password_file: {password}, keystore: {keystore}}}\n")

        def found(what: str = "password_file") -> tuple[bool, str]:
            run_command(lambda: doctor(config, as_json=True))
            lines = json_lines(printed())
            (found,) = [one for one in lines if one["what"] == f"operator.{what}"]
            return found["good"], found["detail"]

        gone = f"{keystore}: expected a keystore, found No such file or directory"
        assert found("keystore") == (False, gone)
        keystore.touch(0o600)
        assert found("keystore") == (True, f"{keystore}: not for every user of this machine")

        missing = f"{password}: expected a password file, found No such file or directory"
        assert found() == (False, missing)
        password.write_text("open", "utf-8")
        password.chmod(0o644)
        exposed = "expected mode 0600, found 0644: every user of this machine reads it"
        assert found() == (False, f"{password}: {exposed}")
        password.chmod(0o440)
        assert found() == (True, f"{password}: not for every user of this machine")


def test_doctor_finds_a_poor_operator(market_copy, tmp_path, printed):
    executor = with_executor(market_copy)
    keeper = market_copy.market.accounts.keeper
    market_copy.live.rpc.call("anvil_setBalance", keeper, "0x1")
    config = configured(tmp_path, market_copy, mode="observe", executor=executor)
    assert run_command(lambda: doctor(config, as_json=True)) is False
    (bad,) = [one for one in json_lines(printed()) if not one["good"]]
    assert bad["what"] == "executor"
    assert bad["detail"].endswith("found 1 wei")


def test_doctor_finds_an_executor_that_nobody_operates(market_copy, tmp_path, printed):
    live, who = market_copy.live, market_copy.market.accounts
    executor = with_executor(market_copy)
    disarm = {"from": who.deployer, "to": executor, "data": DISARM, "gas": hex(10**6)}
    assert mine(live.rpc, disarm)["status"] == "0x1"
    config = configured(tmp_path, market_copy, mode="observe", executor=executor)
    assert run_command(lambda: doctor(config, as_json=True)) is False
    (bad,) = [one for one in json_lines(printed()) if not one["good"]]
    assert bad["detail"].endswith("expected an operator, found none: the contract is disarmed")
