"""What a user types works on Morpho Blue as on any protocol, and beside another one."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from keeper.core.units import WAD
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.morpho import LocalMorpho, liquidatable
from keeper.devnet.prices import oracle_prices, push_prices
from keeper.devnet.stage_aave_v3 import aave_file
from keeper.devnet.stage_morpho_blue import morpho_file
from tests.support.gas_band import hold_estimates
from tests.support.golden_output import hold, printed
from tests.support.hostile_code import EMPTY_REVERT, put
from tests.support.market_node import MarketNode
from tests.support.morpho_scene import morpho_node


@pytest.fixture(scope="module")
def fallen(
    anvil_binary: Path, local_market: MarketNode
) -> Iterator[tuple[MarketNode, LocalMorpho]]:
    """Both protocols after a fall of ether by a tenth."""
    with morpho_node(anvil_binary, local_market) as (node, local):
        prices = oracle_prices(node.live)
        push_prices(node.live, {s: prices[s] * 9 // 10 for s in ("WETH", "wstETH")})
        yield node, local


@pytest.fixture
def config(fallen: tuple[MarketNode, LocalMorpho], tmp_path: Path) -> Path:
    node, local = fallen
    wanted = KeeperFiles(
        rpc=node.anvil.http_url,
        mode="observe",
        executor=None,
        recipient=None,
        deployments=(aave_file(node.market), morpho_file(local)),
    )
    return write_config(tmp_path, node.market, wanted)


def keeper(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keeper", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def lines(done: subprocess.CompletedProcess[str]) -> list[dict]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_scan_shows_the_accounts_of_both_protocols(
    fallen: tuple[MarketNode, LocalMorpho], config: Path
):
    rows = lines(keeper("scan", "-c", str(config), "--json"))
    assert {row["protocol"] for row in rows} == {"aave_v3", "morpho_blue"}
    ours = [row for row in rows if row["protocol"] == "morpho_blue"]
    _, local = fallen
    ids = {one.id for one in local.markets}
    under = {row["account"] for row in ours if row["liquidatable"] and row["market"] in ids}
    assert under == set(liquidatable(local))
    assert under
    for row in ours:
        assert row["liquidatable"] <= (int(row["health_factor"]) < WAD)
        (debt,) = row["debt"]
        assert debt["amount"] == row["debt_base"]


def test_explain_shows_where_an_account_crosses(
    fallen: tuple[MarketNode, LocalMorpho], config: Path
):
    _, local = fallen
    account = liquidatable(local)[0]
    done = keeper("explain", "-c", str(config), account)
    assert done.returncode == 0, done.stderr
    assert account[:8] in done.stdout
    assert "morpho_blue.local" in done.stdout


def test_whatif_moves_every_pair_that_an_asset_is_in(config: Path):
    rows = lines(keeper("whatif", "-c", str(config), "--price", "WETH=-20%", "--json"))
    summaries = {row["deployment"]: row for row in rows if "moves" in row}
    assert set(summaries) == {"aave_v3.local", "morpho_blue.local"}
    moves = summaries["morpho_blue.local"]["moves"]
    (before, after) = map(int, moves["WETH/USDC"])
    assert after == before * 8_000 // 10_000
    (before, after) = map(int, moves["USDC/WETH"])
    assert after == before * 10_000 // 8_000
    assert "WBTC/USDC" not in moves
    assert {"USDC", "DAI"} <= set(summaries["morpho_blue.local"]["debt_base"])


def test_a_move_of_both_protocols_prints_what_is_on_file(config: Path):
    hold("both/whatif.txt", printed("whatif", "-c", str(config), "--price", "WETH=-12%"))


def test_whatif_moves_one_pair_by_its_name_where_there_is_one(config: Path):
    done = keeper("whatif", "-c", str(config), "--price", "WETH/USDC=1500")
    assert done.returncode == 0, done.stderr
    assert "morpho_blue.local" in done.stdout
    assert "aave_v3.local" not in done.stdout
    assert "→ 1,500.0000" in done.stdout


def test_whatif_refuses_what_no_deployment_prices(config: Path):
    done = keeper("whatif", "-c", str(config), "--price", "DOGE=-20%")
    assert done.returncode == 2
    assert "expected a feed of" in done.stderr
    assert "found 'DOGE'" in done.stderr


def test_doctor_reads_every_market_and_feed(config: Path):
    done = keeper("doctor", "-c", str(config))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "morpho_blue.local: feed WETH/USDC" in done.stdout + done.stderr


def changed(file: Path, **more: object) -> None:
    """Change keys of a file of the configuration."""
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text("utf-8")) | more), "utf-8")


def test_an_account_of_a_market_without_a_price_in_coin_holds_up_no_rehearsal(config: Path):
    changed(config.parent / "chain.yaml", price_feeds={})
    rows = lines(keeper("rehearse", "-c", str(config), "--top", "80", "--json"))
    left = [one for one in rows if one["reason"] == "price_unusable"]
    assert left
    assert all("expected a price of the native coin" in one["detail"] for one in left)
    assert [one for one in rows if one["verdict"] == "liquidated"]


def test_a_market_whose_oracle_does_not_answer_holds_up_no_move(
    fallen: tuple[MarketNode, LocalMorpho], config: Path
):
    node, local = fallen
    rpc, oracle = node.live.rpc, local.markets[3].params[2]
    code = rpc.call("eth_getCode", oracle, "latest")
    put(rpc, oracle, EMPTY_REVERT)
    try:
        rows = lines(keeper("whatif", "-c", str(config), "--price", "WETH=-20%", "--json"))
    finally:
        put(rpc, oracle, bytes.fromhex(code[2:]))
    summaries = {row["deployment"]: row for row in rows if "moves" in row}
    assert "WETH/DAI" not in summaries["morpho_blue.local"]["moves"]
    assert "WETH/USDC" in summaries["morpho_blue.local"]["moves"]


def test_doctor_of_a_deployment_of_which_no_market_is_followed(config: Path):
    file = config.parent / "morpho_blue.local.yaml"
    parameters = yaml.safe_load(file.read_text("utf-8"))["parameters"]
    changed(file, parameters=parameters | {"min_borrowed": 10**12})
    done = keeper("doctor", "-c", str(config))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "morpho_blue.local: feed" not in done.stdout


def test_loans_of_morpho_fund_liquidations_of_others_for_nothing(
    fallen: tuple[MarketNode, LocalMorpho], config: Path
):
    _, local = fallen
    chain = config.parent / "chain.yaml"
    content = yaml.safe_load(chain.read_text("utf-8"))
    content["flash_sources"] = [{"kind": "morpho_blue", "pool": local.morpho.address}]
    chain.write_text(yaml.safe_dump(content), "utf-8")
    root = yaml.safe_load(config.read_text("utf-8"))
    config.write_text(yaml.safe_dump(root | {"protocols": ["aave_v3.local.yaml"]}), "utf-8")
    done = keeper("dry-run", "-c", str(config), "--blocks", "3")
    assert done.returncode == 0, done.stderr
    landed = re.search(r"(\d+) outcomes", done.stdout)
    assert landed is not None
    assert int(landed[1]) >= 1
    assert re.search(r"Flash fee\s+│\s+0\.000000 │\s+0\.000000", done.stdout), done.stdout


def test_a_dry_run_liquidates_on_both(config: Path):
    done = keeper("dry-run", "-c", str(config), "--blocks", "3")
    assert done.returncode == 0, done.stderr
    assert "ok: the balances on the fork grew by" in done.stderr
    said = done.stdout + done.stderr
    assert "morpho_blue.local" in said


async def test_plans_count_on_about_the_gas_that_they_take(config: Path, parity_report: list[str]):
    await hold_estimates(config, parity_report, least=1)


def test_accounts_are_rehearsed_at_the_prices_at_which_they_cross(config: Path):
    rows = lines(keeper("rehearse", "-c", str(config), "--top", "40", "--json"))
    ours = [one for one in rows if one["deployment"].startswith("morpho_blue")]
    pushed = [one for one in ours if one["at"] is not None and one["verdict"] == "liquidated"]
    assert len(pushed) > 3
    assert "fails" not in {one["verdict"] for one in rows}
