"""The walk through a protocol names only what there is."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding-a-protocol.md").read_text("utf-8")
FOLDER = ROOT / "keeper" / "protocols" / "morpho_blue"


def test_every_file_of_the_folder_is_real():
    named = set(re.findall(r"^\| `(\w+\.py)`", PAGE, re.MULTILINE))
    assert len(named) >= 8
    assert all((FOLDER / name).is_file() for name in named)


def test_every_path_is_real():
    paths = set(re.findall(r"`((?:keeper|tests|config)/[\w/.]+\.\w+)`", PAGE))
    assert len(paths) >= 10
    assert [one for one in sorted(paths) if not (ROOT / one).exists()] == []


def test_every_contract_of_the_local_market_is_in_its_sources():
    sources = "".join(
        one.read_text("utf-8") for one in (ROOT / "keeper/devnet/contracts").glob("Morpho*.sol")
    )
    for name in ("FixedRateModel", "FeedPairOracle", "EarlyLiquidation"):
        assert f"contract {name} " in sources
        assert f"`{name}`" in PAGE
