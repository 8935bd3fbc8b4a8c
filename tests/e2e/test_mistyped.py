"""What is mistyped on the command line: one line with its option, and no traceback."""

import sys
from pathlib import Path

import pytest

from keeper.cli import main
from keeper.commands.running import MISCONFIGURED
from tests.support.keeper_process import NOBODY, configured
from tests.support.market_node import MarketNode


@pytest.fixture
def config(local_market: MarketNode, tmp_path: Path) -> Path:
    return configured(tmp_path, local_market, mode="observe", rpc=local_market.anvil.http_url)


CROOKED = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756CC2"
STRAIGHT = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
FEEDS = "expected a feed of DAI, USDC, USDT, WBTC, WETH, wstETH"
MOVE = "--price: FEED=-12% or FEED=1800: expected"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["scan", "--below", "1,05"],
            "--below: expected a decimal number of at most 18 places, found '1,05'",
        ),
        (
            ["explain", CROOKED],
            f"ACCOUNT: bad checksum: expected {STRAIGHT}, found '{CROOKED}'",
        ),
        (
            ["deploy", "--owner", CROOKED, "--operator", NOBODY, "--recipient", NOBODY],
            f"--owner: bad checksum: expected {STRAIGHT}, found '{CROOKED}'",
        ),
        (
            ["whatif", "--price", "WETH=1e3"],
            f"{MOVE} a decimal number of at most 18 places, found '1e3' in 'WETH=1e3'",
        ),
        (
            ["whatif", "--price", "WETH=-150%"],
            f"{MOVE} a fall of at most 100 %, found '-150%' in 'WETH=-150%'",
        ),
        (
            ["whatif", "--price", "WETH=-5"],
            f"{MOVE} a price of at least 0, or a move with %, found '-5' in 'WETH=-5'",
        ),
        (
            ["whatif", "--price", "weth=-5%"],
            f"--price: {FEEDS}, found 'weth'; did you mean 'WETH'?",
        ),
        (
            ["whatif", "--sweep", "WETH", "--html", "/nowhere/at-all.html"],
            "--html: /nowhere/at-all.html: expected a file in a folder that is there, found none",
        ),
        (["whatif", "--sweep", "FOO"], f"--sweep: {FEEDS}, found 'FOO'"),
        (
            ["whatif", "--price", "WETH=-5%", "--price", "WETH=-6%"],
            "--price: expected each feed once, found 'WETH' 2 times",
        ),
    ],
)
def test_what_is_mistyped_is_told_with_its_option_and_without_a_traceback(
    config, words, said, monkeypatch, capsys
):
    name, *rest = words
    monkeypatch.setattr(sys, "argv", ["keeper", name, "-c", str(config), *rest])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == MISCONFIGURED
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [f"error: {said}"]
