"""The demo on Venus, as a newcomer runs it."""

import re
from pathlib import Path

from tests.support.demo_run import run_demo


def test_the_demo_liquidates_pooled_markets_and_checks_its_books(tmp_path: Path) -> None:
    said = run_demo(tmp_path, "--protocol", "venus").stderr
    assert {"USDC", "WETH", "VAI"} <= set(re.findall(r"repay [\d,.]+ (\w+)", said))
    assert {"WBTC", "WETH"} <= set(re.findall(r"seize [\d,.]+ (\w+)", said))
