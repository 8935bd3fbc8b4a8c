"""What a user types, on a fork of the local market: what it prints and what it leaves alone."""

import asyncio
import csv
import io
import json
import signal
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from keeper.commands.doctor import doctor
from keeper.commands.dry_run import dry_run
from keeper.commands.rearm import rearm_sending
from keeper.commands.report import Shown, parse_since, report
from keeper.commands.running import MISCONFIGURED, CommandFailed, run_command
from keeper.commands.scan import Wanted, scan
from keeper.core.errors import ConfigError
from keeper.core.plan import Status
from keeper.core.units import WAD
from keeper.devnet.crash import crash
from keeper.devnet.live import account_data
from keeper.ledger.amounts import short_hex
from keeper.ledger.books import read_books
from keeper.ledger.journal import SqliteJournal
from keeper.ledger.store import ChainIdentity
from keeper.runtime.clock import SystemClock
from tests.support.executor_stage import mine
from tests.support.keeper_process import (
    ARMED,
    configured,
    live_on,
    running_keeper,
    until,
    with_executor,
)
from tests.support.market_node import MarketNode

DISARM = "0x83985082"
"""Of the executor's ``disarm()``."""

Lines = list[dict[str, Any]]
Printed = Callable[[], str]


def json_lines(text: str) -> Lines:
    return [json.loads(line) for line in text.splitlines()]


def everybody(*, below: int | None = None, block: int | None = None, most: int | None = None):
    return Wanted(below=below, block=block, most=most)


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """Return what was printed on stdout since the last time."""
    return lambda: capsys.readouterr().out


@pytest.fixture
def config(market_copy: MarketNode, tmp_path: Path) -> Path:
    return configured(tmp_path, market_copy, mode="observe")


def fall(node: MarketNode, steps: int) -> None:
    for _ in zip(range(steps), crash(node.live), strict=False):
        pass


def scanned(config: Path, wanted: Wanted, printed: Printed) -> Lines:
    run_command(lambda: scan(config, wanted, as_json=True))
    return json_lines(printed())


def test_scan_prints_each_loan_as_the_pool_sees_it(market_copy, config, printed):
    found = scanned(config, everybody(), printed)
    assert len(found) >= len(market_copy.market.borrowers)
    number = int(market_copy.live.rpc.call("eth_blockNumber"), 16)
    said = account_data(market_copy.live, [one["account"] for one in found], hex(number))
    for one, pool in zip(found, said, strict=True):
        assert list(one) == [
            "protocol",
            "market",
            "account",
            "block",
            "health_factor",
            "liquidatable",
            "collateral_base",
            "debt_base",
            "collateral",
            "debt",
            "chain",
        ]
        assert (one["protocol"], one["market"]) == ("aave_v3", market_copy.market.pool)
        assert one["block"] == number
        assert one["health_factor"] == str(pool.health_factor)
        assert one["liquidatable"] is (pool.health_factor < WAD)
        assert one["collateral_base"] == str(pool.collateral_base)
        assert one["debt_base"] == str(pool.debt_base)


def test_scan_prints_the_legs_of_each_loan_in_raw_units(market_copy, config, printed):
    found = scanned(config, everybody(), printed)
    units = {asset.token: 10**asset.decimals for asset in market_copy.market.assets}
    for one in found:
        assert one["debt"]
        for side, keys in (
            ("collateral", ["asset", "symbol", "amount", "price", "threshold_bps"]),
            ("debt", ["asset", "symbol", "amount", "price"]),
        ):
            legs = one[side]
            assert all(list(leg) == keys for leg in legs)
            worth = sum(int(a["amount"]) * int(a["price"]) // units[a["asset"]] for a in legs)
            assert abs(worth - int(one[f"{side}_base"])) <= len(legs)


def test_scan_shows_the_riskiest_first_and_no_more_than_asked(config, printed):
    found = scanned(config, everybody(), printed)
    factors = [int(one["health_factor"]) for one in found]
    assert factors == sorted(factors)
    assert scanned(config, everybody(most=3), printed) == found[:3]
    line = factors[len(factors) // 2]
    below = scanned(config, everybody(below=line), printed)
    assert below == [one for one in found if int(one["health_factor"]) < line]


def test_scan_looks_at_an_older_block(market_copy, config, printed):
    before = scanned(config, everybody(), printed)
    fall(market_copy, 3)
    after = scanned(config, everybody(), printed)
    assert after[0]["block"] > before[0]["block"]
    assert after[0]["health_factor"] != before[0]["health_factor"]
    assert scanned(config, everybody(block=before[0]["block"]), printed) == before


def test_scan_says_the_same_to_people(config, printed, capsys):
    run_command(lambda: scan(config, everybody(most=1), as_json=True))
    (worst,) = json_lines(printed())
    run_command(lambda: scan(config, everybody(most=1), as_json=False))
    said = capsys.readouterr()
    assert worst["account"] in said.out
    assert "accounts with debt" in said.err


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


def test_dry_run_liquidates_on_a_fork_and_leaves_the_chain_alone(market_copy, tmp_path, capsys):
    fall(market_copy, 5)
    before = everything_sent(market_copy)
    config = configured(tmp_path, market_copy, mode="observe")
    good = run_command(lambda: dry_run(config, fork_block=None, blocks=3))
    said = capsys.readouterr()
    assert good is True
    assert "ok: the balances on the fork grew by " in said.err
    assert "liquidation.settled" in said.err
    assert "Where the penalty went" in said.out
    assert everything_sent(market_copy) == before
    assert not (tmp_path / "keeper.sqlite").exists()


def everything_sent(node: MarketNode) -> tuple[Any, ...]:
    """Return what any transaction or mined block would change."""
    rpc = node.live.rpc
    return rpc.call("eth_getBlockByNumber", "latest", False), rpc.call("txpool_status")


def test_dry_run_refuses_to_fork_ahead_of_the_head(market_copy, config, capsys):
    head = int(market_copy.live.rpc.call("eth_blockNumber"), 16)
    with pytest.raises(CommandFailed) as failed:
        run_command(lambda: dry_run(config, fork_block=10_000, blocks=1))
    assert failed.value.code == MISCONFIGURED
    expected = f"error: --fork-block: expected at most the head, {head}, found 10000"
    assert capsys.readouterr().err.splitlines() == [expected]


@pytest.fixture
def kept_books(market_copy: MarketNode, tmp_path: Path) -> Path:
    """Let an armed keeper take some loans; return its configuration."""
    executor = with_executor(market_copy)
    config = configured(tmp_path, market_copy, mode="live", executor=executor)
    rpc = market_copy.live.rpc
    rpc.call("evm_setAutomine", False)
    with running_keeper(config, "--arm", environment=ARMED) as keeper:
        fall(market_copy, 5)
        for _ in range(10):
            if len(keeper.events("liquidation.settled")) >= 2:
                break
            live_on(keeper, rpc, blocks=1)
        keeper.process.send_signal(signal.SIGINT)
        until(lambda: keeper.process.poll() is not None or rpc.call("evm_mine") is None)
        assert keeper.process.wait() == 0
    return config


def test_report_prints_the_books_for_people_and_machines(kept_books, tmp_path, printed):
    books = read_books(tmp_path / "keeper.sqlite")
    page, table = tmp_path / "books.html", tmp_path / "books.csv"
    report(kept_books, Shown(as_json=True, html=page, csv=table), since=0)
    found = json_lines(printed())
    assert len(found) == len(books.entries) >= 2
    for one in found:
        assert list(one)[:17] == [
            "plan",
            "account",
            "collateral_asset",
            "debt_asset",
            "repaid",
            "seized",
            "protocol_fee",
            "swap_cost",
            "flash_fee",
            "gas",
            "tip",
            "net",
            "forecast_net",
            "tx_hash",
            "block",
            "status",
            "trigger",
        ]
    landed = [one for one in found if one["status"] == Status.LANDED]
    assert len(landed) >= 2
    assert sum(int(one["net"]) for one in found) == books.total.realised.net
    rows = list(csv.DictReader(io.StringIO(table.read_text("utf-8"))))
    assert [row["plan"] for row in rows] == [one["plan"] for one in found]
    assert [row["net"] for row in rows] == [one["net"] for one in found]
    html = page.read_text("utf-8")
    assert html.lstrip().lower().startswith("<!doctype html>")
    assert all(short_hex(one["account"]) in html for one in landed)
    report(kept_books, Shown(), since=0)
    assert "Where the penalty went" in printed()
    report(kept_books, Shown(as_json=True), since=2**33)
    assert printed() == ""
    with pytest.raises(ConfigError, match=r"nowhere/books\.csv: expected a file that can be writ"):
        report(kept_books, Shown(as_json=True, csv=tmp_path / "nowhere/books.csv"), since=0)


def test_report_says_when_there_are_no_books(config):
    with pytest.raises(ConfigError, match=r"keeper\.sqlite: expected a Keeper database, found no"):
        report(config, Shown(as_json=True), since=0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("1700000000", 1_700_000_000),
        ("2023-11-14", 1_699_920_000),
        ("2023-11-14T22:13:20", 1_700_000_000),
        ("2023-11-15T00:13:20+02:00", 1_700_000_000),
    ],
)
def test_a_time_is_a_day_a_moment_or_seconds(text, seconds):
    assert parse_since(text) == seconds


@pytest.mark.parametrize("text", ["yesterday", "", "-1", "2023-13-01"])
def test_another_time_is_refused(text):
    with pytest.raises(ConfigError, match="--since: expected a day such as 2026-11-22 or unix"):
        parse_since(text)
