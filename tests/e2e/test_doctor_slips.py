"""What the doctor finds of files whose values are right by themselves, and wrong on this chain."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from keeper.commands.doctor import doctor
from keeper.commands.running import run_command
from keeper.devnet.assets import ASSETS
from keeper.devnet.market import MarketAsset
from keeper.devnet.prices import push_prices
from tests.support.command_output import json_lines
from tests.support.keeper_process import configured
from tests.support.market_node import MarketNode

Found = Callable[[str], list[tuple[bool, str]]]
Change = Callable[[str, Callable[[dict[str, Any]], None]], None]


@pytest.fixture
def config(market_copy: MarketNode, tmp_path: Path) -> Path:
    return configured(tmp_path, market_copy, mode="observe")


@pytest.fixture
def change(config: Path) -> Change:
    """Change one of the files beside the root file."""

    def changed(name: str, how: Callable[[dict[str, Any]], None]) -> None:
        path = config.parent / name
        content = yaml.safe_load(path.read_text("utf-8"))
        how(content)
        path.write_text(yaml.safe_dump(content), "utf-8")

    return changed


@pytest.fixture
def found(config: Path, capsys: pytest.CaptureFixture[str]) -> Found:
    """Return what the doctor finds of a thing, as verdict and detail."""

    def examined(what: str) -> list[tuple[bool, str]]:
        run_command(lambda: doctor(config, as_json=True))
        lines = json_lines(capsys.readouterr().out)
        return [(one["good"], one["detail"]) for one in lines if one["what"] == what]

    return examined


def test_a_first_block_behind_somebodys_loan_is_found(
    market_copy: MarketNode, change: Change, found: Found
) -> None:
    market = market_copy.market
    ((good, detail),) = found("aave_v3.local: start_block")
    assert good, detail
    late = market.ready_block
    change("aave_v3.local.yaml", lambda file: file.update(start_block=late))
    ((good, detail),) = found("aave_v3.local: start_block")
    assert not good
    assert detail.startswith(f"{late}: expected no account in a block before it, or it would be")


def test_two_feeds_in_each_others_place_are_found(
    market_copy: MarketNode, change: Change, found: Found
) -> None:
    one, other = (market_copy.market.asset(name) for name in ("WBTC", "USDC"))
    change("chain.yaml", lambda file: file["price_feeds"].update(swapped(one, other)))
    said = f"{other.feed}: expected a feed of WBTC, found 'USDC / USD', as USDC should have"
    assert found(f"price_feeds.{one.token}: price") == [(False, said)]
    said = f"{one.feed}: expected a feed of USDC, found 'WBTC / USD', as WBTC should have"
    assert found(f"price_feeds.{other.token}: price") == [(False, said)]
    ((good, _),) = found(f"price_feeds.{market_copy.market.weth}: price")
    assert good


def swapped(one: MarketAsset, other: MarketAsset) -> dict[str, str]:
    return {one.token: other.feed, other.token: one.feed}


DAY_S = 86_400


def test_a_heartbeat_in_milliseconds_is_found(
    market_copy: MarketNode, change: Change, found: Found
) -> None:
    rpc = market_copy.live.rpc
    for _ in range(3):
        at = int(rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        rpc.call("evm_setNextBlockTimestamp", at + DAY_S)
        push_prices(market_copy.live, {"WETH": ASSETS["WETH"].price})

    def with_heartbeat(seconds: int) -> list[tuple[bool, str]]:
        change("aave_v3.local.yaml", lambda file: file.update(heartbeats_s={"WETH": seconds}))
        return found("aave_v3.local: guards")

    assert with_heartbeat(8 * DAY_S) == []
    ((good, detail),) = with_heartbeat(1_000 * DAY_S)
    assert not good
    assert detail.startswith("WETH: expected a heartbeat near its updates, which were 864")
    assert detail.endswith(f" s apart at most, found {1_000 * DAY_S} s")
