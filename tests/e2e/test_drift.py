"""A market that drifts under a running keeper: told, shown, and lifted by a person's word."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from keeper.core.units import Address
from keeper.devnet.crash import crash
from keeper.evm.hashing import keccak256
from tests.e2e.test_status import Page, free_port, sample
from tests.support.keeper_process import configured, running_keeper, until
from tests.support.market_node import MarketNode

NAME = "aave_v3.local"
SCALED = "0x1da24f3e"
"""Of a debt token's ``scaledBalanceOf(address)``."""


def slot_of(node: MarketNode, token: Address, holder: Address) -> tuple[str, int]:
    """Return where a debt token keeps what a holder owes, and what is there: index and scaled."""
    rpc = node.live.rpc
    scaled = int(rpc.call("eth_call", {"to": token, "data": SCALED + pad(holder)}, "latest"), 16)
    for number in range(100):
        slot = "0x" + keccak256(bytes.fromhex(pad(holder) + f"{number:064x}")).hex()
        held = int(rpc.call("eth_getStorageAt", token, slot, "latest"), 16)
        if scaled and held % 2**128 == scaled:
            return slot, held
    raise AssertionError(f"{token} keeps {scaled} of {holder} nowhere")


def pad(address: Address) -> str:
    return address[2:].rjust(64, "0")


def change_a_debt_without_a_log(node: MarketNode) -> Address:
    """Raise what somebody owes as no contract does, so that nobody is told; return who."""
    for borrower in node.market.borrowers:
        for asset in node.market.assets:
            try:
                slot, held = slot_of(node, asset.variable_debt_token, borrower)
            except AssertionError:
                continue
            node.live.rpc.call(
                "anvil_setStorageAt", asset.variable_debt_token, slot, f"0x{held + 10**6:064x}"
            )
            return borrower
    raise AssertionError("nobody owes anything")


def command(*words: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", "keeper", *words]
    return subprocess.run(line, capture_output=True, text=True, check=True, timeout=120)


@pytest.fixture
def config(market_copy: MarketNode, tmp_path: Path) -> Path:
    written = configured(tmp_path, market_copy, mode="observe")
    with written.open("a", encoding="utf-8") as file:
        file.write("audit: {sample: 500, every_blocks: 1}\n")
    return written


def paused_of(page: Page) -> float:
    return sample(page.ask("/metrics")[1], f'keeper_paused{{deployment="{NAME}"}}')


def test_a_running_keeper_says_that_it_drifted_and_goes_on_when_a_person_lifts_it(
    market_copy: MarketNode, config: Path
) -> None:
    port, rpc = free_port(), market_copy.live.rpc
    environment = {"KEEPER_HTTP__PORT": str(port)}
    with running_keeper(config, environment=environment) as keeper:
        page = Page(port)
        until(lambda: page.ask("/readyz")[0] == 200)
        who = change_a_debt_without_a_log(market_copy)
        rpc.call("evm_mine")
        until(lambda: bool(keeper.events("market.paused")))
        why = str(keeper.events("market.paused")[0]["why"])
        assert who in why

        code, body = page.ask("/readyz")
        assert (code, f"{NAME} is paused: " in body) == (503, True)
        assert page.ask("/healthz")[0] == 200
        assert paused_of(page) == 1
        assert page.status()["deployments"][0]["paused"] == why
        shown = command("resume", "-c", str(config), "--json")
        assert json.loads(shown.stdout)["why"] == why
        list(zip(range(4), crash(market_copy.live), strict=False))
        until(
            lambda: any(
                one["reason"] == "market_paused" for one in keeper.events("liquidation.rejected")
            )
        )
        assert not keeper.events("liquidation.shown")

        said = command("resume", "-c", str(config), NAME).stderr
        assert f"{NAME}: resumed" in said
        rpc.call("evm_mine")
        until(lambda: bool(keeper.events("market.resumed")))
        until(lambda: page.ask("/readyz")[0] == 200)
        assert paused_of(page) == 0
        assert page.status()["deployments"][0]["paused"] == ""
        until(lambda: bool(keeper.events("liquidation.shown")))
        assert len(keeper.events("market.paused")) == 1
