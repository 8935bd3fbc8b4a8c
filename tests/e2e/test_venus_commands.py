"""What a user types works on Venus as on any protocol."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from keeper.core.units import WAD, Address
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.prices import oracle_prices, push_prices
from keeper.devnet.sender import Sender
from keeper.devnet.stage_venus import venus_file
from keeper.devnet.venus_market import LiveVenus, shortfalls
from tests.support.gas_band import hold_estimates
from tests.support.venus_scene import VenusNode, built_venus


@pytest.fixture(scope="module")
def fallen(anvil_binary: Path) -> Iterator[VenusNode]:
    """Venus after a fall of ether by a tenth; every second borrower has entered every market."""
    with built_venus(anvil_binary) as node:
        live = node.live.live
        enter_all(node.live, node.venus.borrowers[::2])
        prices = oracle_prices(live)
        push_prices(live, {s: prices[s] * 9 // 10 for s in ("WETH", "wstETH")})
        yield node


def enter_all(live: LiveVenus, borrowers: Sequence[Address]) -> None:
    markets = [one.address for one in live.markets.values()]
    live.live.rpc.batch(("anvil_impersonateAccount", [one]) for one in borrowers)
    for one in borrowers:
        borrower = Sender.of(live.live.rpc, one)
        borrower.call(live.comptroller, "enterMarkets", markets)
        borrower.mine()


@pytest.fixture
def config(fallen: VenusNode, tmp_path: Path) -> Path:
    wanted = KeeperFiles(
        rpc=fallen.anvil.http_url,
        mode="observe",
        executor=None,
        recipient=None,
        deployments=(venus_file(fallen.market, fallen.venus),),
    )
    return write_config(tmp_path, fallen.market, wanted)


def keeper(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keeper", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def rows_of(done: subprocess.CompletedProcess[str]) -> list[dict]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_scan_names_those_that_the_comptroller_does(fallen: VenusNode, config: Path):
    rows = rows_of(keeper("scan", "-c", str(config), "--json"))
    short = {account for account, value in shortfalls(fallen.live).items() if value}
    under = {row["account"] for row in rows if row["liquidatable"]}
    assert short
    assert short <= under
    for row in rows:
        assert row["protocol"] == "venus"
        assert row["market"] == fallen.venus.comptroller
        worth = sum(int(leg["amount"]) * int(leg["price"]) for leg in row["debt"])
        assert worth > 0
        if int(row["health_factor"]) > WAD * 1001 // 1000:
            assert not row["liquidatable"]


def test_explain_shows_the_terms_and_the_plan(fallen: VenusNode, config: Path):
    short = shortfalls(fallen.live)
    account = max(short, key=lambda one: short[one])
    done = keeper("explain", "-c", str(config), account)
    assert done.returncode == 0, done.stderr
    for said in (account, "venus.local", "liquidatable", "Best plan", "At most"):
        assert said in done.stdout


def test_whatif_finds_whom_a_fall_takes_under(fallen: VenusNode, config: Path):
    rows = rows_of(keeper("whatif", "-c", str(config), "--price", "WBTC=-30%", "--json"))
    (summary,) = [row for row in rows if "moves" in row]
    (before, after) = map(int, summary["moves"]["WBTC"])
    assert after == before * 70 // 100
    new = {row["account"] for row in rows if row.get("new")}
    short = {account for account, value in shortfalls(fallen.live).items() if value}
    assert new
    assert not new & short
    assert summary["liquidatable"] >= len(new | short)


def test_a_dry_run_liquidates_and_its_books_are_the_balances(config: Path):
    done = keeper("dry-run", "-c", str(config), "--blocks", "3")
    assert done.returncode == 0, done.stderr
    assert "ok: the balances on the fork grew by" in done.stderr
    assert "venus.local" in done.stderr


def test_doctor_finds_every_market_and_feed_good(config: Path):
    done = keeper("doctor", "-c", str(config))
    assert done.returncode == 0, done.stdout + done.stderr
    for symbol in ("WETH", "USDC", "WBTC"):
        assert f"feed {symbol}" in done.stdout + done.stderr


async def test_plans_count_on_about_the_gas_that_they_take(config: Path, parity_report: list[str]):
    await hold_estimates(config, parity_report, least=15)


def test_accounts_are_rehearsed_at_the_prices_at_which_they_cross(config: Path):
    rows = rows_of(keeper("rehearse", "-c", str(config), "--top", "40", "--json"))
    pushed = [one for one in rows if one["at"] is not None and one["verdict"] == "liquidated"]
    assert len(pushed) > 3
    assert "fails" not in {one["verdict"] for one in rows}
