"""What the commands for people print on the local market after a crash is on file, whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.devnet.crash import crash
from tests.support.golden_output import hold, printed
from tests.support.keeper_process import configured
from tests.support.market_node import MarketNode, copied_market

UNDER = "0xa07770e8f5c5e5d5e9e36f6824adc65fc94f4696"
"""The local market's largest loan that is under the line by then."""
HEALTHY = "0x6da97d417b03b42908d4430e56a75f1dfbdd98dc"
DUST = "0x62a2baee255b44cc1e01f857714e60aaa23e2edf"
"""Under the line, and not worth its gas."""


@pytest.fixture(scope="module")
def config(
    anvil_binary: Path, local_market: MarketNode, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A market four steps into a crash: some loans pay, some do not, most are healthy."""
    with copied_market(anvil_binary, local_market) as node:
        for _ in zip(range(4), crash(node.live), strict=False):
            pass
        yield configured(tmp_path_factory.mktemp("golden"), node, mode="observe")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("scan.txt", ["scan"]),
        ("scan.jsonl", ["scan", "--json", "--below", "1.01"]),
        ("explain_under.txt", ["explain", UNDER]),
        ("explain_under.jsonl", ["explain", UNDER, "--json"]),
        ("explain_healthy.txt", ["explain", HEALTHY]),
        ("explain_dust.txt", ["explain", DUST]),
        ("whatif.txt", ["whatif", "--price", "WETH=-12%"]),
        ("whatif_deep.txt", ["whatif", "--price", "WETH=-35%"]),
        ("whatif.jsonl", ["whatif", "--price", "WETH=-12%", "--json"]),
    ],
)
def test_a_command_prints_what_is_on_file(name: str, words: list[str], config: Path) -> None:
    command, *rest = words
    hold(f"aave_v3/{name}", printed(command, "-c", str(config), *rest))
