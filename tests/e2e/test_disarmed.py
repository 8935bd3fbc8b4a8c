"""A keeper that was not armed: everything but the sending."""

import json
from pathlib import Path

import pytest

from keeper.commands.run import run
from keeper.core.errors import ConfigError
from keeper.core.plan import Status
from keeper.devnet.crash import crash
from keeper.ledger.books import read_books
from tests.support.keeper_process import configured, running_keeper, until, with_executor
from tests.support.market_node import MarketNode
from tests.support.recording_proxy import recording_proxy

CANARY = "0x" + "c0ffee" * 10 + "c0fe"


def test_disarmed_shows_plans_and_sends_nothing_and_reads_no_key(
    market_copy: MarketNode, tmp_path: Path
) -> None:
    executor = with_executor(market_copy)
    with recording_proxy(market_copy.anvil.http_url) as proxy:
        config = configured(tmp_path, market_copy, mode="live", executor=executor, rpc=proxy.url)
        # A keystore that is not there and a key in the environment: touching either would show.
        text = config.read_text("utf-8") + "operator:\n  keystore: /nowhere/keystore.json\n"
        config.write_text(text, "utf-8")
        environment = {"KEEPER_PRIVATE_KEY": CANARY, "KEEPER_CONFIRM_LIVE_CHAIN_ID": "31337"}
        with running_keeper(config, environment=environment) as keeper:
            for _ in zip(range(4), crash(market_copy.live), strict=False):
                pass
            until(lambda: len(keeper.events("liquidation.shown")) >= 2)
            assert keeper.interrupt() == 0
            said = "".join(keeper.lines)
    assert "disarmed" in said
    assert CANARY[2:] not in said
    assert "eth_call" in proxy.methods
    assert not [name for name in proxy.methods if name.startswith(("eth_send", "personal_"))]
    books = read_books(tmp_path / "keeper.sqlite")
    assert {entry.status for entry in books.entries} == {Status.SIMULATED}
    who = market_copy.market.accounts
    assert market_copy.live.rpc.call("eth_getTransactionCount", who.keeper, "latest") == "0x0"


async def test_arming_is_refused_unless_all_of_it_is_asked_for(
    market_copy: MarketNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = with_executor(market_copy)
    observing = configured(tmp_path / "a", market_copy, mode="observe", executor=executor)
    live = configured(tmp_path / "b", market_copy, mode="live", executor=executor)
    bare = configured(tmp_path / "c", market_copy, mode="live")
    confirm = {"KEEPER_CONFIRM_LIVE_CHAIN_ID": "31337"}
    cases = [
        (observing, confirm, "mode: expected live for --arm, found observe"),
        (live, {}, "KEEPER_CONFIRM_LIVE_CHAIN_ID: expected 31337"),
        (live, {"KEEPER_CONFIRM_LIVE_CHAIN_ID": "1"}, "found '1'"),
        (live, confirm, "expected a key in operator.keystore or KEEPER_PRIVATE_KEY, found none"),
        (live, {**confirm, "KEEPER_PRIVATE_KEY": CANARY}, "expected operator"),
        (bare, {**confirm, "KEEPER_PRIVATE_KEY": CANARY}, "found none configured"),
    ]
    for config, environment, message in cases:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            with pytest.raises(ConfigError) as refusal:
                await run(config, arm=True)
        assert message in str(refusal.value)
        assert CANARY[2:] not in str(refusal.value)


def test_shown_plans_say_that_nothing_was_sent(market_copy: MarketNode, tmp_path: Path) -> None:
    config = configured(tmp_path, market_copy, mode="observe")
    with running_keeper(config) as keeper:
        for _ in zip(range(3), crash(market_copy.live), strict=False):
            pass
        until(lambda: bool(keeper.events("liquidation.shown")))
        shown = keeper.events("liquidation.shown")[0]
    assert shown["note"] == "disarmed: nothing was sent"
    assert int(str(shown["forecast_net_wei"])) > 0
    assert json.dumps(shown)
