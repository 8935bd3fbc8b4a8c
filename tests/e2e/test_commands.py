"""Scanning and a dry run, as a user types them: what is printed, and what is left alone."""

from pathlib import Path
from typing import Any

import pytest

from keeper.commands.dry_run import dry_run
from keeper.commands.explain import explain_account
from keeper.commands.rearm import rearm_sending
from keeper.commands.running import MISCONFIGURED, CommandFailed, run_command
from keeper.commands.scan import Wanted, scan
from keeper.core.units import WAD
from keeper.devnet.live import account_data
from tests.support.command_output import Lines, Printed, fall, json_lines
from tests.support.halted import leave_halted
from tests.support.keeper_process import configured, with_executor
from tests.support.market_node import MarketNode


def everybody(*, below: int | None = None, block: int | None = None, most: int | None = None):
    return Wanted(below=below, block=block, most=most)


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """Return what was printed on stdout since the last time."""
    return lambda: capsys.readouterr().out


@pytest.fixture
def config(market_copy: MarketNode, tmp_path: Path) -> Path:
    return configured(tmp_path, market_copy, mode="observe")


def scanned(config: Path, wanted: Wanted, printed: Printed) -> Lines:
    run_command(lambda: scan(config, wanted, as_json=True))
    return json_lines(printed())


def test_scan_prints_each_loan_as_the_pool_sees_it(market_copy, config, printed):
    found = scanned(config, everybody(), printed)
    assert len(found) >= len(market_copy.market.borrowers)
    number = int(market_copy.live.rpc.call("eth_blockNumber"), 16)
    said = account_data(market_copy.live, [one["account"] for one in found], hex(number))
    for one, pool in zip(found, said, strict=True):
        assert list(one) == [
            "protocol",
            "market",
            "account",
            "block",
            "health_factor",
            "liquidatable",
            "collateral_base",
            "debt_base",
            "collateral",
            "debt",
            "chain",
        ]
        assert (one["protocol"], one["market"]) == ("aave_v3", market_copy.market.pool)
        assert one["block"] == number
        assert one["health_factor"] == str(pool.health_factor)
        assert one["liquidatable"] is (pool.health_factor < WAD)
        assert one["collateral_base"] == str(pool.collateral_base)
        assert one["debt_base"] == str(pool.debt_base)


def test_scan_prints_the_legs_of_each_loan_in_raw_units(market_copy, config, printed):
    found = scanned(config, everybody(), printed)
    units = {asset.token: 10**asset.decimals for asset in market_copy.market.assets}
    for one in found:
        assert one["debt"]
        for side, keys in (
            ("collateral", ["asset", "symbol", "amount", "price", "threshold_bps"]),
            ("debt", ["asset", "symbol", "amount", "price"]),
        ):
            legs = one[side]
            assert all(list(leg) == keys for leg in legs)
            worth = sum(int(a["amount"]) * int(a["price"]) // units[a["asset"]] for a in legs)
            assert abs(worth - int(one[f"{side}_base"])) <= len(legs)


def test_scan_shows_the_riskiest_first_and_no_more_than_asked(config, printed):
    found = scanned(config, everybody(), printed)
    factors = [int(one["health_factor"]) for one in found]
    assert factors == sorted(factors)
    assert scanned(config, everybody(most=3), printed) == found[:3]
    line = factors[len(factors) // 2]
    below = scanned(config, everybody(below=line), printed)
    assert below == [one for one in found if int(one["health_factor"]) < line]


def test_scan_looks_at_an_older_block(market_copy, config, printed):
    before = scanned(config, everybody(), printed)
    fall(market_copy, 3)
    after = scanned(config, everybody(), printed)
    assert after[0]["block"] > before[0]["block"]
    assert after[0]["health_factor"] != before[0]["health_factor"]
    assert scanned(config, everybody(block=before[0]["block"]), printed) == before


def test_scan_says_the_same_to_people(config, printed, capsys):
    run_command(lambda: scan(config, everybody(most=1), as_json=True))
    (worst,) = json_lines(printed())
    run_command(lambda: scan(config, everybody(most=1), as_json=False))
    said = capsys.readouterr()
    assert worst["account"] in said.out
    assert "accounts with debt" in said.err


def test_dry_run_liquidates_on_a_fork_and_leaves_the_chain_alone(market_copy, tmp_path, capsys):
    fall(market_copy, 5)
    before = everything_sent(market_copy)
    config = configured(tmp_path, market_copy, mode="observe")
    good = run_command(lambda: dry_run(config, fork_block=None, blocks=3))
    said = capsys.readouterr()
    assert good is True
    assert "ok: the balances on the fork grew by " in said.err
    assert "liquidation.settled" in said.err
    assert "Where the penalty went" in said.out
    assert everything_sent(market_copy) == before
    assert not (tmp_path / "keeper.sqlite").exists()


def everything_sent(node: MarketNode) -> tuple[Any, ...]:
    """Return what any transaction or mined block would change."""
    rpc = node.live.rpc
    return rpc.call("eth_getBlockByNumber", "latest", False), rpc.call("txpool_status")


def test_dry_run_refuses_to_fork_ahead_of_the_head(market_copy, config, capsys):
    head = int(market_copy.live.rpc.call("eth_blockNumber"), 16)
    with pytest.raises(CommandFailed) as failed:
        run_command(lambda: dry_run(config, fork_block=10_000, blocks=1))
    assert failed.value.code == MISCONFIGURED
    expected = f"error: --fork-block: expected at most the head, {head}, found 10000"
    assert capsys.readouterr().err.splitlines() == [expected]


def test_explain_sends_nothing_while_sending_is_halted(market_copy, tmp_path, printed):
    executor = with_executor(market_copy)
    config = configured(tmp_path, market_copy, mode="live", executor=executor)
    switch = tmp_path / "HALT"
    with config.open("a", encoding="utf-8") as file:
        file.write(f"sending: {{halt_file: {switch}}}\n")
    fall(market_copy, 4)
    found = scanned(config, everybody(below=WAD), printed)
    account = max(found, key=lambda one: int(one["debt_base"]))["account"]

    def said() -> tuple[str, bool]:
        run_command(lambda: explain_account(config, account, block=None, as_json=True))
        (page,) = json_lines(printed())
        return page["action"], page["plan"] is not None

    would = "liquidate it, when run with --arm and the rehearsal agrees"
    assert said() == (would, True)
    switch.touch()
    assert said() == (f"leave it: halted: the kill switch's file is there, {switch}", True)
    switch.unlink()
    leave_halted(market_copy, tmp_path / "keeper.sqlite", "circuit breaker: a drill")
    why = "circuit breaker: a drill; keeper rearm lets it go on"
    assert said() == (f"leave it: halted: {why}", True)
    rearm_sending(config, as_json=False)
    printed()
    assert said() == (would, True)


def test_a_block_before_the_executor_was_there_is_named(market_copy, tmp_path, capsys):
    before = int(market_copy.live.rpc.call("eth_blockNumber"), 16)
    executor = with_executor(market_copy)
    config = configured(tmp_path, market_copy, mode="observe", executor=executor)
    account = market_copy.market.borrowers[0]
    with pytest.raises(CommandFailed) as failed:
        run_command(lambda: explain_account(config, account, block=before, as_json=True))
    assert failed.value.code == MISCONFIGURED
    wanted = f"the code of Liquidator.json at block {before}"
    expected = f"error: executor {executor}: expected {wanted}, found no code"
    assert capsys.readouterr().err.splitlines() == [expected]
