"""``scripts/new_protocol`` lays out a protocol that the registry finds and the types accept."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the script reads and writes beside."""
    for folder in ("scripts", "keeper", "tests/conformance", "config", "abis"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lay_out(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(checkout / "scripts" / "new_protocol"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_adapter_has_every_method_of_the_port(checkout: Path):
    done = lay_out(checkout, "comet", "ethereum")
    assert done.returncode == 0, done.stderr
    question = """
from keeper.core.ports import ProtocolAdapter
from keeper.protocols.registry import adapter_for, protocol_names
assert "comet" in protocol_names()
made = adapter_for("comet", deployment="comet.ethereum", start_block=7,
                   parameters={"root": "0x" + "11" * 20})
wanted = {name for name in vars(ProtocolAdapter) if not name.startswith("_")}
missing = wanted - set(dir(made))
assert not missing, missing
assert (made.protocol, made.deployment, made.start_block) == ("comet", "comet.ethereum", 7)
"""
    asked = subprocess.run(
        [sys.executable, "-c", question], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr


@pytest.mark.parametrize(
    "tool",
    [("ruff", "format", "--check"), ("ruff", "check"), ("mypy", "--strict")],
    ids=["format", "lint", "types"],
)
def test_what_it_writes_passes_the_checks(checkout: Path, tool: tuple[str, ...]):
    lay_out(checkout, "comet", "ethereum")
    command = [str(Path(sys.executable).parent / tool[0]), *tool[1:]]
    places = ["keeper/protocols/comet"]
    if tool[0] == "ruff":
        places.append("tests/conformance/cases_comet.py")
    done = subprocess.run(
        [*command, *places], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_nothing_is_overwritten(checkout: Path):
    before = (checkout / "keeper/protocols/morpho_blue/adapter.py").read_text("utf-8")
    done = lay_out(checkout, "morpho_blue", "ethereum")
    assert "kept   keeper/protocols/morpho_blue/adapter.py" in done.stderr
    assert (checkout / "keeper/protocols/morpho_blue/adapter.py").read_text("utf-8") == before


@pytest.mark.parametrize("arguments", [(), ("comet",), ("Comet", "ethereum"), ("../x", "y")])
def test_a_name_that_is_none_is_refused(checkout: Path, arguments: tuple[str, ...]):
    assert lay_out(checkout, *arguments).returncode == 2
