"""A fork of Compound V2 is a file: its Comptroller, its wrapped coin, and where its logs begin."""

import shutil
from pathlib import Path

import pytest

from keeper.app.opening import adapters
from keeper.config.settings import load

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "compound-v2-and-venus.md"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    monkeypatch.delenv("KEEPER_RPC_ETHEREUM", raising=False)


def test_the_page_s_example_of_a_fork_is_a_deployment(tmp_path: Path):
    _, _, after = PAGE.read_text("utf-8").partition("```yaml\n")
    shutil.copytree(ROOT / "config", tmp_path / "config")
    config = tmp_path / "config"
    name = "compound_v2.ethereum.yaml"
    (config / "protocols" / name).write_text(after.partition("```")[0], "utf-8")
    root = config / "keeper.yaml"
    text = root.read_text("utf-8")
    assert "aave_v3.ethereum.yaml" in text
    root.write_text(text.replace("aave_v3.ethereum.yaml", name), "utf-8")
    (fork,) = adapters(load(root))
    assert (fork.protocol, fork.deployment) == ("compound_v2", "compound_v2.ethereum")
    assert fork.parameters.half_up is False
    assert fork.start_block == 7_710_671
