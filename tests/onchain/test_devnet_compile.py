"""What is compiled once and kept."""

import re
from pathlib import Path

import pytest

from keeper.core.errors import ConfigError
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.devnet.compile_cache import Program, ensure_compiled
from keeper.devnet.packages import ensure_all
from keeper.devnet.solc import Settings

LINKED = """
pragma solidity ^0.8.0;
library Adding { function add(uint a, uint b) public pure returns (uint) { return a + b; } }
contract Caller { function two() external pure returns (uint) { return Adding.add(1, 1); } }
contract Unwanted { }
"""
PROGRAM = Program(
    name="linked",
    label="two contracts",
    sources={"some/Linked.sol": LINKED},
    settings=Settings(evm_version="paris"),
    contracts=("Adding", "Caller"),
)


def test_the_second_time_nothing_is_compiled(tmp_path: Path):
    said: list[str] = []
    first = ensure_compiled(PROGRAM, progress=said.append, cache=tmp_path)
    second = ensure_compiled(PROGRAM, progress=said.append, cache=tmp_path)
    assert [line for line in said if "compiling two contracts" in line] == said[-1:]
    assert set(first) == set(second) == {"Adding", "Caller"}
    assert [one.name for one in (tmp_path / "compiled").iterdir()] == [
        next((tmp_path / "compiled").glob("linked-*.json")).name
    ]
    for name, one in first.items():
        assert (one.bytecode, list(one.abi)) == (second[name].bytecode, list(second[name].abi))


def test_places_of_libraries_are_kept(tmp_path: Path):
    where = Address("0x" + "ab" * 20)
    for _ in range(2):
        caller = ensure_compiled(PROGRAM, cache=tmp_path)["Caller"]
        assert list(caller.links) == ["Adding"]
        assert bytes.fromhex("ab" * 20) in caller.creation_code((), {"Adding": where})


def test_other_sources_or_settings_are_another_program(tmp_path: Path):
    ensure_compiled(PROGRAM, cache=tmp_path)
    edited = {"some/Linked.sol": LINKED.replace("1, 1", "1, 2")}
    ensure_compiled(replace(PROGRAM, sources=edited), cache=tmp_path)
    ensure_compiled(replace(PROGRAM, settings=Settings(evm_version="london")), cache=tmp_path)
    assert len(list((tmp_path / "compiled").iterdir())) == 3


def test_where_no_contract_is_named_all_are_kept(tmp_path: Path):
    whole = replace(PROGRAM, contracts=())
    assert set(ensure_compiled(whole, cache=tmp_path)) == {"Adding", "Caller", "Unwanted"}
    assert set(ensure_compiled(whole, cache=tmp_path)) == {"Adding", "Caller", "Unwanted"}


def test_what_does_not_compile_is_told_in_the_compilers_words_and_not_kept(tmp_path: Path):
    broken = replace(PROGRAM, sources={"some/Linked.sol": LINKED.replace("a + b", "a + c")})
    with pytest.raises(ConfigError, match="Undeclared identifier"):
        ensure_compiled(broken, cache=tmp_path)
    assert not (tmp_path / "compiled").exists()


def code_of(path: Path) -> list[str]:
    """Return a source's code: no comments, no pragma, no line breaks."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text("utf-8"), flags=re.DOTALL)
    return re.sub(r"pragma solidity [^;]*;", "", text).split()


def test_who_copied_morphos_contracts_changed_none_that_morpho_publishes_as_well() -> None:
    folders = ensure_all(("morpho-blue", "morpho-copied"))
    published = folders["morpho-blue"] / "src"
    copied = folders["morpho-copied"] / "domains/morpho/contracts"
    sources = sorted(copied.rglob("*.sol"))
    assert len(sources) > 20
    assert [
        one.name for one in sources if code_of(one) != code_of(published / one.relative_to(copied))
    ] == []
