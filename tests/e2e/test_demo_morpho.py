"""The demo on Morpho Blue, as a newcomer runs it."""

import re
import subprocess
import sys


def test_the_demo_liquidates_isolated_markets_and_checks_its_books() -> None:
    command = [sys.executable, "-m", "keeper", "demo", "--protocol", "morpho_blue"]
    command += ["--borrowers", "60", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "ok: the books' net equals what the balances grew by on chain" in done.stderr
    landed = re.search(
        r"ok: (\d+) liquidations landed, 0 reverted; (\d+) forecasts were met to the wei",
        done.stderr,
    )
    assert landed is not None, done.stderr
    assert int(landed[1]) >= 10
    assert landed[2] == landed[1]
    assert "each with its reason" in done.stderr
    assert {"DAI", "USDC", "WETH"} <= set(re.findall(r"repay [\d,.]+ (\w+)", done.stderr))
