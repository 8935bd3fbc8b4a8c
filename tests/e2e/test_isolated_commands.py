"""What a user types works on Venus's isolated pools as on any protocol."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.isolated_market import under_water
from keeper.devnet.prices import oracle_prices, push_prices
from keeper.devnet.stage_venus_isolated import isolated_file
from tests.support.gas_band import hold_estimates
from tests.support.isolated_scene import IsolatedNode, built_isolated


@pytest.fixture(scope="module")
def fallen(anvil_binary: Path) -> Iterator[IsolatedNode]:
    """The pools after a fall of ether by a fifth."""
    with built_isolated(anvil_binary, by_second=False) as node:
        live = node.live.live
        prices = oracle_prices(live)
        push_prices(live, {s: prices[s] * 8 // 10 for s in ("WETH", "wstETH")})
        yield node


@pytest.fixture
def config(fallen: IsolatedNode, tmp_path: Path) -> Path:
    wanted = KeeperFiles(
        rpc=fallen.anvil.http_url,
        mode="observe",
        executor=None,
        recipient=None,
        deployments=(isolated_file(fallen.isolated),),
    )
    return write_config(tmp_path, fallen.market, wanted)


def keeper(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keeper", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_scan_names_those_that_the_comptrollers_do(fallen: IsolatedNode, config: Path):
    rows = [
        json.loads(line) for line in keeper("scan", "-c", str(config), "--json").stdout.splitlines()
    ]
    under = {row["account"] for row in rows if row["liquidatable"]}
    short = set(under_water(fallen.live))
    assert short
    assert short <= under
    assert {row["market"] for row in rows} == {one.comptroller for one in fallen.isolated.pools}


def test_explain_tells_an_account_of_little_collateral_by_its_pool(
    fallen: IsolatedNode, config: Path
):
    small = [one for p in fallen.isolated.pools for one in p.borrowers[::3]]
    account = next(one for one in under_water(fallen.live) if one in small)
    shown = keeper("explain", "-c", str(config), account).stdout
    assert account[:8] in shown
    assert "venus_isolated.local" in shown


def test_whatif_finds_whom_a_fall_takes_under_in_every_pool(fallen: IsolatedNode, config: Path):
    falls = ("--price", "WETH=-20%", "--price", "WBTC=-30%")
    said = keeper("whatif", "-c", str(config), *falls, "--json").stdout
    rows = [json.loads(line) for line in said.splitlines()]
    new = [row for row in rows if row.get("new")]
    assert {row["market"] for row in new} == {one.comptroller for one in fallen.isolated.pools}
    assert not {row["account"] for row in new} & set(under_water(fallen.live))


def test_doctor_finds_every_market_and_feed_good(config: Path):
    done = keeper("doctor", "-c", str(config))
    for symbol in ("WETH", "USDC", "wstETH"):
        assert f"feed {symbol}" in done.stdout + done.stderr


async def test_plans_count_on_about_the_gas_that_they_take(config: Path, parity_report: list[str]):
    await hold_estimates(config, parity_report, least=8)


def test_accounts_are_rehearsed_at_the_prices_at_which_they_cross(config: Path):
    done = keeper("rehearse", "-c", str(config), "--top", "40", "--json").stdout
    rows = [json.loads(line) for line in done.splitlines()]
    pushed = [one for one in rows if one["at"] is not None and one["verdict"] == "liquidated"]
    assert len(pushed) > 3
    assert "fails" not in {one["verdict"] for one in rows}
