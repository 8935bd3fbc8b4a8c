"""The page of every key says what the models say."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from keeper.config.parameters import known_protocols

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The generator, which is no part of the package."""
    path = ROOT / "scripts" / "reference" / "configuration.py"
    spec = importlib.util.spec_from_file_location("configuration_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_scripts_config_reference_makes(reference: ModuleType) -> None:
    assert reference.PAGE.read_text("utf-8") == reference.page()


def test_the_page_tells_a_keys_type_default_and_meaning(reference: ModuleType) -> None:
    page = reference.page()
    assert (
        "| `max_in_flight` | whole number from 1 | **required** | "
        "Transactions without an outcome at one time. |"
    ) in page
    assert "| `mode` | `observe`, `fork`, `live` | `observe` | " in page
    assert "### `sending.breaker`" in page
    assert "### `lanes` of kind `bundle`" in page
    assert all(f"#### of `{name}`" in page for name in known_protocols())
