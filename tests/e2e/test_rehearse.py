"""Each account near the line is liquidated in a simulation at the price at which it crosses."""

import json
from pathlib import Path

import pytest

from keeper.commands.rehearse import Wanted, rehearse
from keeper.commands.running import run_command
from keeper.core.units import WAD, Address
from keeper.devnet.live import account_data
from keeper.devnet.prices import oracle_prices, push_prices
from keeper.evm.words import selector
from tests.support.golden_output import printed
from tests.support.hostile_code import put, refusing
from tests.support.keeper_process import configured, with_executor

MOVED = Address("0x" + b"the code of a token.".hex())


def wanted(*, most: int = 10, below: int | None = None, block: int | None = None) -> Wanted:
    return Wanted(below=below, block=block, most=most)


def rehearsed(config: Path, what: Wanted, capsys) -> tuple[bool, list[dict]]:
    capsys.readouterr()
    good = run_command(lambda: rehearse(config, what, as_json=True))
    return good, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def config(market_copy, tmp_path: Path) -> Path:
    return configured(tmp_path, market_copy, mode="observe")


def test_healthy_accounts_are_liquidated_at_their_own_prices_and_nothing_is_changed(
    market_copy, config, capsys
):
    rpc = market_copy.live.rpc
    head = rpc.call("eth_getBlockByNumber", "latest", False)
    good, rows = rehearsed(config, wanted(), capsys)
    assert good
    assert len(rows) == 10
    liquidated = [one for one in rows if one["verdict"] == "liquidated"]
    assert len(liquidated) > 5
    for one in liquidated:
        assert int(one["health_factor"]) > WAD
        assert int(one["at"]) != int(one["now"])
        assert int(one["repaid"]) > 0
        assert int(one["seized"]) > 0
    for one in rows:
        if one["verdict"] == "left":
            assert one["reason"]
    assert rpc.call("eth_getBlockByNumber", "latest", False)["hash"] == head["hash"]


def test_the_price_at_which_one_is_liquidated_is_where_the_pool_says_so(
    market_copy, config, capsys
):
    _, rows = rehearsed(config, wanted(most=30), capsys)
    one = next(row for row in rows if row["feed"] == "WETH" and row["verdict"] == "liquidated")
    push_prices(market_copy.live, {"WETH": int(one["at"])})
    (standing,) = account_data(market_copy.live, [one["account"]], "latest")
    assert standing.health_factor < WAD
    push_prices(market_copy.live, {"WETH": int(one["at"]) * 1_001 // 1_000})
    (standing,) = account_data(market_copy.live, [one["account"]], "latest")
    assert standing.health_factor >= WAD


def test_accounts_under_the_line_are_rehearsed_at_the_prices_as_they_are(
    market_copy, config, capsys
):
    prices = oracle_prices(market_copy.live)
    push_prices(market_copy.live, {s: prices[s] * 9 // 10 for s in ("WETH", "wstETH")})
    good, rows = rehearsed(config, wanted(most=100, below=WAD), capsys)
    assert good
    assert rows
    assert all(one["feed"] is None for one in rows)
    assert any(one["verdict"] == "liquidated" for one in rows)


def test_the_deployed_executor_is_the_one_that_is_rehearsed(market_copy, tmp_path, capsys):
    executor = with_executor(market_copy)
    config = configured(tmp_path, market_copy, mode="live", executor=executor)
    good, rows = rehearsed(config, wanted(most=3), capsys)
    assert good
    assert "liquidated" in {one["verdict"] for one in rows}


def test_what_the_chain_does_not_carry_out_is_named_and_fails_the_command(
    market_copy, config, capsys
):
    rpc, usdc = market_copy.live.rpc, market_copy.market.asset("USDC").token
    code = bytes.fromhex(rpc.call("eth_getCode", usdc, "latest")[2:])
    put(rpc, MOVED, code)
    put(rpc, usdc, refusing(MOVED, selector("transfer(address,uint256)")))
    good, rows = rehearsed(config, wanted(most=40), capsys)
    assert not good
    verdicts = {one["verdict"] for one in rows}
    assert {"fails", "liquidated"} <= verdicts
    for one in rows:
        if one["verdict"] == "fails":
            assert one["reason"] == "simulation_failed"
            assert one["detail"].startswith("reverts: ")


def test_people_read_what_would_happen_and_how_many_there_were(config):
    said = printed("rehearse", "-c", str(config), "--top", "3")
    assert "liquidated" in said
    assert "3 accounts rehearsed: 2 would be liquidated" in said


def test_what_policy_would_not_let_through_is_left_with_its_reason(
    market_copy, config, capsys, monkeypatch
):
    allowed = [market_copy.market.asset(name).token for name in ("WETH", "WBTC", "USDC")]
    monkeypatch.setenv("KEEPER_LIMITS__TOKENS", json.dumps(allowed))
    good, rows = rehearsed(config, wanted(most=40), capsys)
    assert good
    liquidated = [one for one in rows if one["verdict"] == "liquidated"]
    assert liquidated
    for one in liquidated:
        assert {one["collateral_asset"], one["debt_asset"]} <= set(allowed)
    assert any(
        one["verdict"] == "left" and one["reason"] == "policy" and "limits.tokens" in one["detail"]
        for one in rows
    )
