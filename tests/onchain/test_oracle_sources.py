"""What a feed is made of, on real contracts: adapters, fixed prices, aggregators, their faces."""

import asyncio
from pathlib import Path

import pytest

from keeper.app.examine import examine
from keeper.app.explain import explain
from keeper.app.session import keeper_session
from keeper.app.study import studies
from keeper.config.settings import load
from keeper.core.units import ZERO_ADDRESS
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.contract import Contract, create_address
from keeper.devnet.prices import oracle_prices, push_price
from keeper.devnet.sender import Sender
from keeper.oracle.feeds import LATE
from keeper.oracle.policy import OraclePolicy
from tests.support.eventually import eventually
from tests.support.heard import Heard
from tests.support.market_node import MarketNode
from tests.support.oracle_stage import DAY, OracleStage, oracle_stage, submit

stage = pytest.fixture(oracle_stage)


async def test_an_adapter_without_events_is_read_again_each_block(stage: OracleStage) -> None:
    adapter = stage.deploy("RatioAdapter", stage.live.market.asset("WETH").feed)
    stage.set_source("wstETH", adapter.address)
    book = await stage.follow(OraclePolicy(heartbeats_s={"wstETH": 3_600}))
    weth, staked = stage.key("WETH"), stage.key("wstETH")
    assert book.prices[staked].value == book.prices[weth].value
    stage.do(adapter, "setRatio", 12 * 10**17)
    book = await stage.read()
    assert book.prices[staked].value == book.prices[weth].value * 12 // 10
    assert "wstETH +20.00 %" in book.moved
    stage.do(adapter, "setCap", 11 * 10**17)
    book = await stage.read()
    assert book.prices[staked].value == book.prices[weth].value * 11 // 10
    stage.wait(3_700)
    assert "wstETH (by " in await stage.problem("wstETH")


async def test_an_event_of_what_an_adapter_is_made_of_moves_it_at_once(stage: OracleStage) -> None:
    adapter = stage.deploy("RatioAdapter", stage.live.market.asset("WETH").feed)
    stage.do(adapter, "setRatio", 12 * 10**17)
    stage.set_source("wstETH", adapter.address)
    book = await stage.follow()
    block = push_price(stage.live, "WETH", 1_500 * 10**8)
    reader = stage.scene.chain.reader
    head = await reader.block(block)
    logs = await reader.logs_at(stage.watcher.log_filter(), head)
    after = await stage.watcher.moved(book, logs, head)
    assert after.prices[stage.key("WETH")].value == 1_500 * 10**8
    assert after.prices[stage.key("wstETH")].value == 1_800 * 10**8
    assert {k: p.value for k, p in after.prices.items()} == {
        k: p.value for k, p in (await stage.read()).prices.items()
    }


async def test_a_fixed_price_is_never_stale(stage: OracleStage) -> None:
    fixed = stage.deploy("SetPrice", 10**8)
    stage.set_source("DAI", fixed.address)
    await stage.follow(OraclePolicy(default_heartbeat_s=3_600))
    stage.wait(10 * DAY)
    assert await stage.problem("DAI") == ""
    assert "expected an update" in await stage.problem("WETH")


async def test_a_new_aggregator_behind_a_proxy_is_followed(stage: OracleStage) -> None:
    await stage.follow()
    old = stage.live.aggregators["WETH"].address
    fresh = stage.deploy_aggregator(low=1, high=5_000 * 10**8)
    proxy = stage.proxy("WETH")
    stage.do(fresh, "addAccess", proxy.address)
    submit(stage, fresh, 1_900 * 10**8)
    stage.do(proxy, "proposeAggregator", fresh.address)
    assert old in stage.watcher.log_filter().addresses
    stage.do(proxy, "confirmAggregator", fresh.address)
    book = await stage.read()
    assert book.prices[stage.key("WETH")].value == 1_900 * 10**8
    assert fresh.address in stage.watcher.log_filter().addresses
    assert old not in stage.watcher.log_filter().addresses
    node = Sender.of(stage.rpc, stage.live.market.accounts.oracle_node)
    node.call(fresh, "submit", 2, 5_000 * 10**8)
    node.mine()
    head = await stage.head()
    (log,) = await stage.scene.chain.reader.logs_at(stage.watcher.log_filter(), head)
    after = stage.watcher.apply(book, log, head)
    assert after.prices[stage.key("WETH")].value == 5_000 * 10**8
    assert "highest answer 500000000000" in after.problems[stage.key("WETH")]


def make_svr(stage: OracleStage, symbol: str, answer: int) -> Contract:
    """Put the auctioned face of a two-faced aggregator before an asset; return the aggregator."""
    owner = stage.owner
    proxy_at = create_address(owner.account, owner.nonce + 1)
    dual = owner.deploy(stage.artifacts["TwoFacedAggregator"], proxy_at, 300, answer)
    proxy = owner.deploy(stage.proxy_artifact(), dual.address, ZERO_ADDRESS)
    owner.mine()
    assert proxy.address == proxy_at
    stage.set_source(symbol, proxy.address)
    return dual


async def test_doctor_explain_and_rejections_say_that_a_feed_is_reached_late(
    stage: OracleStage, market_copy: MarketNode, tmp_path: Path
) -> None:
    make_svr(stage, "WETH", oracle_prices(stage.live)["WETH"] * 8 // 10)
    files = KeeperFiles(
        rpc=market_copy.anvil.ws_url,
        mode="observe",
        executor=None,
        recipient=None,
        min_profit="9999 ether",
    )
    settings = load(write_config(tmp_path, market_copy.market, files))
    findings = {one.what: one async for one in examine(settings)}
    feed = findings["aave_v3.local: feed WETH"]
    assert (feed.good, LATE in feed.detail) == (True, True)
    assert "read each block" in feed.detail
    assert LATE not in findings["aave_v3.local: feed DAI"].detail
    heard, stop = Heard(), asyncio.Event()
    async with keeper_session(settings, heard) as session, asyncio.TaskGroup() as group:
        group.create_task(session.keeper.run(session.head, stop))
        await eventually(lambda: any(one.detail.endswith(LATE) for one in heard.rejections))
        stop.set()
    account = next(one.ref.account for one in heard.rejections if LATE in one.detail)
    async with studies(settings) as (study,):
        (found,) = await explain(study, account)
    assert {one.label: one.remark for one in found.crossings}["WETH"] == LATE


async def test_the_auctioned_face_of_an_svr_feed_is_recognised_and_read_not_believed(
    stage: OracleStage,
) -> None:
    dual = make_svr(stage, "WETH", 2_000 * 10**8)
    primary = stage.deploy_proxy(dual, has_access=False)
    stage.set_source("wstETH", primary.address)
    book = await stage.follow()
    assert stage.watcher.remarks == {stage.key("WETH"): LATE}
    stage.do(dual, "publish", 1_500 * 10**8)
    head = await stage.head()
    logs = await stage.scene.chain.reader.logs_at(stage.watcher.log_filter(), head)
    after = await stage.watcher.moved(book, logs, head)
    assert after.prices[stage.key("wstETH")].value == 1_500 * 10**8
    assert after.prices[stage.key("WETH")].value == 2_000 * 10**8
    assert (await stage.read()).prices[stage.key("WETH")].value == 2_000 * 10**8
    stage.wait(301)
    assert (await stage.read()).prices[stage.key("WETH")].value == 1_500 * 10**8
