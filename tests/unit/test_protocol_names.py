"""Rooms do not know protocols by name: they meet them through the port alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.protocols.registry import protocol_names

KEEPER = Path(__file__).parents[2] / "keeper"
AT_HOME = ("protocols", "devnet")
"""Folders of ``keeper`` in which protocols have their names."""

LENDERS = {
    "venues/flash_loans.py": {"aave"},
    "venues/morpho_flash.py": {"morpho"},
    "config/chain_file.py": {"aave", "morpho"},
    "app/builders.py": {"aave", "morpho"},
    "app/examine_chain.py": {"aave", "morpho"},
}
"""Where names are those of lenders within a transaction, which a chain's file names by kind."""

DEMO = {"cli.py": {"aave"}, "commands/demo.py": {"aave"}}
"""What ``keeper demo`` shows when nothing is asked for, and the releases of it there are."""


def rooms() -> list[str]:
    found = sorted(one.relative_to(KEEPER) for one in KEEPER.rglob("*.py"))
    return [one.as_posix() for one in found if one.parts[0] not in AT_HOME]


def stems() -> set[str]:
    """What protocols are called in code: ``aave`` of ``aave_v3`` and of ``AaveV3``."""
    return {one.partition("_")[0] for one in protocol_names()}


def words(tree: ast.AST) -> Iterator[str]:
    """Every name and text in code; what is said in docstrings is for people."""
    said = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value
        for field in ("id", "attr", "arg", "name", "asname", "module"):
            named = getattr(node, field, None)
            if isinstance(named, str):
                yield named


def known(text: str) -> set[str]:
    found = [word.lower() for word in words(ast.parse(text))]
    return {stem for stem in stems() if any(stem in word for word in found)}


@pytest.mark.parametrize("room", rooms())
def test_no_room_knows_a_protocol_by_name(room: str):
    allowed = {**LENDERS, **DEMO}.get(room, set())
    assert known((KEEPER / room).read_text("utf-8")) <= allowed


@pytest.mark.parametrize(
    "text",
    [
        "from keeper.protocols.aave_v3 import rules",
        "import keeper.protocols.aave_v3.rules as mirrored",
        "if protocol == 'aave_v3':\n    pass",
        "class AaveCase:\n    pass",
        "def f(aave: int) -> None: ...",
        "x = market.aave_pool",
    ],
)
def test_a_name_in_code_is_found(text: str):
    assert known(text) == {"aave"}


def test_a_name_in_a_docstring_is_not_code():
    assert known('"""Like Aave."""\nfee = 1\n"""Of Aave V3."""\n# and Morpho\n') == set()
