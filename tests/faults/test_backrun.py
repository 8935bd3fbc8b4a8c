"""Liquidations right behind a pending price update, in one bundle with it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from keeper.app.backrun import BACKRUN_LEFT
from keeper.config.settings import load
from keeper.core.errors import ConfigError
from keeper.core.plan import Status
from keeper.devnet.assets import ASSETS
from keeper.executor.rehearse import LEAD_FAILS
from keeper.ledger.books import read_books
from tests.faults.test_prearmed import PATIENT
from tests.support.fault_desk import FALLEN, Desk, keeper_desk
from tests.support.fault_proxy import FaultProxy, Hold
from tests.support.market_node import MarketNode
from tests.support.relay import TestRelay, running_relay
from tests.support.settings_files import write_settings
from tests.support.updates import submit

ANSWER = ASSETS["WETH"].price * FALLEN // 10_000


@asynccontextmanager
async def backrunning(
    folder: Path, market: MarketNode, *, switched_on: bool = True, url: str | None = None
) -> AsyncIterator[tuple[Desk, TestRelay]]:
    with running_relay(market.anvil.http_url) as relay:
        lane = {"kind": "bundle", "name": "builders", "rpc": [relay.url]}
        chain: Mapping[str, object] = {"lanes": [lane], "watch_mempool": True}
        root = {"sending": {"lane": "builders", "backrun": switched_on}}
        urls = [url or market.anvil.ws_url]
        async with keeper_desk(folder, market, urls, chain=chain, root=root, retry=PATIENT) as desk:
            yield desk, relay


async def foreseen(desk: Desk, answer: int = ANSWER, *, sender: str | None = None) -> str:
    """Send an update until it is seen pending: the keeper may not listen yet; return its hash."""
    before = len(desk.ears.foreseens)
    while True:
        tx_hash = submit(desk.node.live, answer, sender=sender)
        for _ in range(100):
            if len(desk.ears.foreseens) > before:
                return tx_hash
            await asyncio.sleep(0.01)
        desk.rpc("anvil_dropTransaction", tx_hash)


async def offered(desk: Desk, relay: TestRelay) -> tuple[str, ...]:
    """Send an update until a bundle is behind it; return the bundle's transactions."""
    tx_hash = await foreseen(desk)
    await desk.until(lambda: bool(relay.bundles) and bool(desk.ears.sent_plans))
    (bundle,) = relay.bundles.values()
    assert bundle.block == desk.height() + 1
    assert bundle.txs[0] == desk.rpc("eth_getRawTransactionByHash", tx_hash)
    assert len(bundle.txs) == 1 + len(desk.ears.sent_plans) > 2
    return bundle.txs


async def test_liquidations_land_in_the_block_of_the_update_that_they_follow(
    market: MarketNode, tmp_path: Path
) -> None:
    async with backrunning(tmp_path, market) as (desk, relay):
        txs = await offered(desk, relay)
        assert relay.count("eth_callBundle") == 1
        number = desk.height() + 1
        assert relay.build() == len(txs)
        await desk.at_head()
        await desk.settle()
        assert {one.block for one in desk.ears.landed()} >= {number}
        block = desk.rpc("eth_getBlockByNumber", hex(number), True)
        assert len(block["transactions"]) == len(txs)
        assert block["transactions"][0]["from"] == market.market.accounts.oracle_node
        first = {plan.id for plan, sent in desk.ears.sent_plans if sent.target_block == number}
        ended = {one.plan_id: one for one in desk.ears.outcomes}
        assert {ended[one].status for one in first} == {Status.LANDED}
        forecast = {plan.id: plan.forecast.net for plan, _ in desk.ears.sent_plans}
        assert {one: ended[one].realised.net for one in first} == {
            one: forecast[one] for one in first
        }
        desk.require_invariants()


async def test_an_update_that_lands_alone_leaves_ours_for_the_next_block(
    market: MarketNode, tmp_path: Path
) -> None:
    async with backrunning(tmp_path, market) as (desk, relay):
        await offered(desk, relay)
        first = {plan.id for plan, _ in desk.ears.sent_plans}
        relay.build(withhold=True)
        await desk.at_head()
        wanted = desk.height() + 1
        await desk.until(lambda: any(one.block == wanted for one in relay.bundles.values()))
        for _ in range(4):
            relay.build()
            await desk.at_head()
        await desk.until(lambda: first <= {one.plan_id for one in desk.ears.outcomes})
        ended = {one.plan_id: one.status for one in desk.ears.outcomes}
        assert {ended[one] for one in first} == {Status.LANDED}
        desk.require_invariants()


async def test_an_update_that_vanishes_costs_nothing(market: MarketNode, tmp_path: Path) -> None:
    async with backrunning(tmp_path, market) as (desk, relay):
        await offered(desk, relay)
        first = {plan.id for plan, _ in desk.ears.sent_plans}
        desk.rpc("anvil_dropAllTransactions")
        relay.build(withhold=True)
        await desk.at_head()
        await desk.until(lambda: not desk.session.keeper.in_flight)
        entries = read_books(desk.settings.database).entries
        assert {one.plan_id: one.status for one in entries} == dict.fromkeys(first, Status.DROPPED)
        assert relay.count("eth_cancelBundle") > 0
        assert not relay.bundles
        who = market.market.accounts.keeper
        assert desk.rpc("eth_getTransactionCount", who, "latest") == "0x0"
        desk.require_invariants()


async def test_ours_do_not_follow_an_update_that_landed_while_they_were_rehearsed(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No builder could have a bundle with what is in a block, and ours would wait for nothing."""
    monkeypatch.delattr(TestRelay, "do_eth_callBundle")  # it runs none before it takes it
    async with backrunning(tmp_path, market, url=proxy.ws_url) as (desk, relay):
        hold = await listening(desk, proxy)
        with capture_logs() as lines:
            update, height = await foreseen(desk), desk.height() + 1
            await desk.until(hold.answered.is_set)
            raw = desk.rpc("eth_getRawTransactionByHash", update)
            desk.mine()
            executor = desk.session.keeper.sending.executor
            await desk.until(
                lambda: executor.newest is not None and executor.newest.number == height
            )
            hold.release.set()
            await desk.until(lambda: bool(relay.bundles))
        assert [one.txs for one in relay.bundles.values() if raw in one.txs] == []
        assert {one.block for one in relay.bundles.values()} == {height + 1}
        assert LEAD_FAILS in {one.get("detail") for one in lines if one["event"] == BACKRUN_LEFT}
        relay.build()
        await desk.at_head()
        await desk.settle()
        assert height + 1 in {one.block for one in desk.ears.landed()}
        desk.require_invariants()


async def test_an_update_that_fails_is_run_once_for_all_whom_it_would_bring(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    """Whoever wants to send waits for it, and anybody may send as many."""
    async with backrunning(tmp_path, market, url=proxy.ws_url) as (desk, _):
        hold, seen = await listening(desk, proxy), len(proxy.methods)
        hold.release.set()
        with capture_logs() as lines:
            await foreseen(desk, sender=market.market.accounts.arbitrageur)
            await desk.until(lambda: BACKRUN_LEFT in events(lines))
        left = [one.get("detail") for one in lines if one["event"] == BACKRUN_LEFT]
        assert left.count(LEAD_FAILS) > 1
        assert proxy.methods[seen:].count("eth_simulateV1") == 1


async def listening(desk: Desk, proxy: FaultProxy) -> Hold:
    """Wait until pending updates are heard, then hold back what is simulated next."""
    with capture_logs() as lines:
        await foreseen(desk, sender=desk.node.market.accounts.arbitrageur)
        await desk.until(lambda: BACKRUN_LEFT in events(lines))
    desk.mine()
    await desk.at_head()
    hold = Hold()
    proxy.spoil(hold, method="eth_simulateV1", count=1)
    return hold


async def test_an_update_of_nobody_s_is_not_followed(market: MarketNode, tmp_path: Path) -> None:
    async with backrunning(tmp_path, market) as (desk, relay):
        await foreseen(desk, sender=market.market.accounts.arbitrageur)
        await foreseen(desk, ASSETS["WETH"].price * 99 // 100)
        desk.mine()
        await desk.at_head()
        assert relay.asked == []
        assert desk.ears.sent_plans == []


async def test_an_update_that_fails_holds_nobody_back_and_is_followed_once_a_block(
    market: MarketNode, tmp_path: Path
) -> None:
    accounts = market.market.accounts
    async with backrunning(tmp_path, market) as (desk, _):
        with capture_logs() as lines:
            for _ in range(2):
                before = len(lines)
                await foreseen(desk, sender=accounts.arbitrageur)
                await desk.until(lambda seen=before: BACKRUN_LEFT in events(lines[seen:]))
                desk.rpc("anvil_dropAllTransactions")
                await foreseen(desk, ANSWER - 1, sender=accounts.arbitrageur)
                desk.mine()
                await desk.at_head()
        executor, height = desk.session.keeper.sending.executor, desk.height()
        refs = [ref for one in desk.mirrors for ref in one.snapshot.positions]
        assert [no for ref in refs if (no := executor.waiting(ref, height))] == []
        left = [one["account"] for one in lines if one["event"] == BACKRUN_LEFT]
        assert {left.count(one) for one in left} == {2}


async def test_an_update_of_nobody_s_takes_no_turn_from_one_that_is(
    market: MarketNode, tmp_path: Path
) -> None:
    async with backrunning(tmp_path, market) as (desk, relay):
        with capture_logs() as lines:
            await foreseen(desk, sender=market.market.accounts.arbitrageur)
            await desk.until(lambda: BACKRUN_LEFT in events(lines))
        assert relay.bundles == {}
        await offered(desk, relay)


@pytest.mark.parametrize("refused", ["eth_callBundle", "eth_sendBundle"])
async def test_what_a_builder_refuses_behind_an_update_holds_nobody_back(
    market: MarketNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    async with backrunning(tmp_path, market) as (desk, relay):
        if refused == "eth_sendBundle":
            relay.refuse = "not this one"
        else:
            simulate = relay._simulate
            monkeypatch.setattr(relay, "_simulate", lambda txs: list(map(failed, simulate(txs))))
        with capture_logs() as lines:
            await foreseen(desk)
            await desk.until(lambda: BACKRUN_LEFT in events(lines))
        left = {one["detail"] for one in lines if one["event"] == BACKRUN_LEFT}
        assert any("not this one" in one or "the builder ran" in one for one in left), left
        executor, height = desk.session.keeper.sending.executor, desk.height()
        refs = [ref for one in desk.mirrors for ref in one.snapshot.positions]
        assert [no for ref in refs if (no := executor.waiting(ref, height))] == []


def failed(result: Mapping[str, str]) -> Mapping[str, str]:
    return {**result, "status": "0x0"}


def events(lines: Sequence[MutableMapping[str, Any]]) -> list[str]:
    return [one["event"] for one in lines]


async def test_switched_off_an_update_is_foreseen_and_not_acted_on(
    market: MarketNode, tmp_path: Path
) -> None:
    async with backrunning(tmp_path, market, switched_on=False) as (desk, relay):
        await foreseen(desk)
        assert desk.session.keeper.deployments[0].outlook.backrun is None
        assert relay.asked == []


def test_a_backrun_without_bundles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sending\.backrun: expected sending\.lane of kind"):
        load(write_settings(tmp_path, sending={"backrun": True}))
