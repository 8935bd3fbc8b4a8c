"""The report on what an armed keeper did, for people and for machines."""

import csv
import io
import signal
from pathlib import Path

import pytest

from keeper.commands.report import Shown, parse_since, report
from keeper.core.errors import ConfigError
from keeper.core.plan import Status
from keeper.ledger.amounts import short_hex
from keeper.ledger.books import read_books
from tests.support.command_output import Printed, fall, json_lines
from tests.support.keeper_process import (
    ARMED,
    configured,
    live_on,
    running_keeper,
    until,
    with_executor,
)
from tests.support.market_node import MarketNode


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """Return what was printed on stdout since the last time."""
    return lambda: capsys.readouterr().out


@pytest.fixture
def config(market_copy: MarketNode, tmp_path: Path) -> Path:
    return configured(tmp_path, market_copy, mode="observe")


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
        ("20231114", 1_699_920_000),
        ("2023-11-14T22:13:20", 1_700_000_000),
        ("2023-11-15T00:13:20+02:00", 1_700_000_000),
    ],
)
def test_a_time_is_a_day_a_moment_or_seconds(text, seconds):
    assert parse_since(text) == seconds


@pytest.mark.parametrize(
    "text", ["yesterday", "", "-1", "2023-13-01", "2023", "1700000000000", "9" * 20]
)
def test_another_time_is_refused(text):
    with pytest.raises(ConfigError, match="--since: expected a day such as 2026-11-22 or unix"):
        parse_since(text)
