"""The demo on Morpho Blue, as a newcomer runs it."""

import re
from pathlib import Path

from tests.support.demo_run import run_demo


def test_the_demo_liquidates_isolated_markets_and_checks_its_books(tmp_path: Path) -> None:
    said = run_demo(tmp_path, "--protocol", "morpho_blue").stderr
    assert {"DAI", "USDC", "WETH"} <= set(re.findall(r"repay [\d,.]+ (\w+)", said))
