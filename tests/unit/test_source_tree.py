"""Solidity sources gathered over several packages."""

from pathlib import Path

import pytest

from keeper.core.errors import ConfigError
from keeper.devnet.source_tree import gather_sources

REMAPPINGS = {"short/": "@long/name/src/"}


def tree(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / f"{name}.sol"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


def test_all_that_is_imported_is_found_once_and_nothing_else(tmp_path: Path):
    near = tree(
        tmp_path / "near",
        Root="import './Side.sol';\nimport {A, B} from 'short/Far.sol';\ncontract Root {}",
        Side="import '..//near/Root.sol';\nimport * as far from\n  \"short/Far.sol\";",
        Unwanted="contract Unwanted {}",
    )
    far = tree(tmp_path / "far", Far="contract A {} contract B {}")
    found = gather_sources(["near/Root.sol"], {"near/": near, "@long/name/src/": far}, REMAPPINGS)
    assert list(found) == ["@long/name/src/Far.sol", "near/Root.sol", "near/Side.sol"]
    assert found["@long/name/src/Far.sol"] == "contract A {} contract B {}"


def test_words_in_comments_are_not_imports(tmp_path: Path):
    near = tree(tmp_path, Root="// we import 'nothing.sol';\n/* import of\n 'x' */ contract R {}")
    assert list(gather_sources(["near/Root.sol"], {"near/": near}, {})) == ["near/Root.sol"]


def test_an_import_that_leads_nowhere_is_named(tmp_path: Path):
    near = tree(tmp_path, Root="import './Gone.sol';")
    with pytest.raises(ConfigError, match=r"near/Gone\.sol: expected a source under near/"):
        gather_sources(["near/Root.sol"], {"near/": near}, {})
