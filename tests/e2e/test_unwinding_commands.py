"""A keeper that is told what to redeem: what it does, and what it says of it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.stages import DeploymentFile
from tests.support.market_node import built_market
from tests.support.pledged_shares import STATIC_SINCE, Pledged, pledged

BORROWERS = 20


@pytest.fixture(scope="module")
def ground(anvil_binary: Path) -> Iterator[Pledged]:
    with built_market(anvil_binary, seed=5, borrowers=BORROWERS, aave=STATIC_SINCE) as node:
        yield pledged(node)


def keeper(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keeper", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture
def config(ground: Pledged, tmp_path: Path) -> Path:
    """Return the files of a keeper that is told to redeem what is pledged."""
    deployment = DeploymentFile(
        protocol="morpho_blue",
        start_block=ground.start_block,
        parameters={"morpho": ground.morpho.address},
    )
    wanted = KeeperFiles(
        rpc=ground.node.anvil.http_url,
        mode="observe",
        executor=None,
        recipient=None,
        deployments=(deployment,),
    )
    root = write_config(tmp_path, ground.node.market, wanted)
    chain = root.parent / "chain.yaml"
    content = yaml.safe_load(chain.read_text("utf-8"))
    content["unwind"] = [
        {"kind": one.kind, "token": one.share.address}
        | ({"holders": [ground.morpho.address]} if one.is_vault else {})
        for one in ground.redeemed
    ]
    chain.write_text(yaml.safe_dump(content), "utf-8")
    return root


def test_the_whole_keeper_liquidates_what_has_to_be_redeemed(ground: Pledged, config: Path) -> None:
    done = keeper("dry-run", "-c", str(config), "--blocks", "3")
    assert done.returncode == 0, done.stderr
    assert "ok: the balances on the fork grew by" in done.stderr
    assert f"{len(ground.pledges)} outcomes" in done.stdout, done.stdout


def test_doctor_holds_what_is_redeemed_against_the_chain(ground: Pledged, config: Path) -> None:
    ground.do(ground.pledges["moody"].share, "silence")
    done = keeper("doctor", "-c", str(config), "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    found = [
        row for row in rows if row["what"].startswith("unwind.") and "token" not in row["what"]
    ]
    bad = [row["detail"] for row in found if not row["good"]]
    assert done.returncode != 0
    assert len(found) == len(ground.redeemed)
    assert len(bad) == 1
    assert "previewRedeem" in bad[0]
    assert sum("is redeemed for WBTC: at most" in row["detail"] for row in found) > 4


def test_explain_shows_what_is_redeemed(ground: Pledged, config: Path) -> None:
    done = keeper("explain", "-c", str(config), ground.borrower)
    assert done.returncode == 0, done.stderr
    assert "redeem" in done.stdout
