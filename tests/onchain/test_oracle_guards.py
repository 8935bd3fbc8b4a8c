"""Guards on real aggregators, proxies, pools and Aave's oracle: what stops acting, and when."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from keeper.app.examine import Finding, examine
from keeper.app.explain import explain
from keeper.app.session import keeper_session
from keeper.app.study import studies
from keeper.config.chain_file import SequencerSettings
from keeper.config.settings import load
from keeper.core.units import ZERO_ADDRESS, Address
from keeper.core.values import replace
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.contract import Artifact, Contract, create_address
from keeper.devnet.prices import move_market, oracle_prices, push_price
from keeper.devnet.sender import Sender
from keeper.oracle.feeds import LATE
from keeper.oracle.guards import SpikeRule
from keeper.oracle.policy import OraclePolicy, Sequencer
from keeper.oracle.second_source import FeedOpinion, PoolOpinion
from tests.support.eventually import eventually
from tests.support.heard import Heard
from tests.support.instant_clock import InstantClock
from tests.support.market_node import MarketNode
from tests.support.oracle_stage import OracleStage, oracle_stage

DAY = 86_400


@pytest.fixture
async def stage(
    market_copy: MarketNode, hostile_artifacts: Mapping[str, Artifact]
) -> AsyncIterator[OracleStage]:
    async with oracle_stage(market_copy, hostile_artifacts) as found:
        yield found


def submit(stage: OracleStage, aggregator: Contract, answer: int) -> None:
    node = Sender.of(stage.rpc, stage.live.market.accounts.oracle_node)
    node.call(aggregator, "submit", 1, answer)
    node.mine()


async def test_sound_feeds_have_no_problem_and_say_when_they_were_updated(
    stage: OracleStage,
) -> None:
    book = await stage.follow(OraclePolicy(default_heartbeat_s=DAY))
    assert not book.problems
    assert {book.prices[stage.key(s)].value for s in ("WETH",)} == {
        oracle_prices(stage.live)["WETH"]
    }
    head = await stage.head()
    assert 0 < head.timestamp - book.prices[stage.key("WETH")].updated_at < DAY


async def test_a_feed_past_its_heartbeat_is_shown_and_not_acted_on(stage: OracleStage) -> None:
    await stage.follow(OraclePolicy(heartbeats_s={"WETH": 3_600}, default_heartbeat_s=DAY))
    stage.wait(3_700)
    book = await stage.read()
    assert list(book.problems) == [stage.key("WETH")]
    assert "WETH: expected an update within 3600 s, found 37" in book.problems[stage.key("WETH")]
    assert book.prices[stage.key("WETH")].value > 0
    stage.wait(DAY)
    assert len((await stage.read()).problems) == len(book.prices)
    push_price(stage.live, "WETH", 2_000 * 10**8)
    assert await stage.problem("WETH") == ""


async def test_an_answer_at_the_aggregators_bound_is_not_acted_on(stage: OracleStage) -> None:
    await stage.follow()
    push_price(stage.live, "WETH", 10**16)
    assert "lowest" not in await stage.problem("WETH")
    assert "less than the aggregator's highest answer" in await stage.problem("WETH")
    push_price(stage.live, "WETH", 1)
    assert "more than the aggregator's lowest answer 1, found 1" in await stage.problem("WETH")
    push_price(stage.live, "WETH", 2)
    assert await stage.problem("WETH") == ""


async def test_a_price_that_reverts_or_is_no_price_leaves_the_others_alone(
    stage: OracleStage,
) -> None:
    broken = stage.deploy("SetPrice", 5 * 10**8)
    stage.set_source("DAI", broken.address)
    assert not (await stage.follow()).problems
    stage.do(broken, "set", 5 * 10**8, True)
    book = await stage.read()
    assert book.problems == {stage.key("DAI"): "DAI: expected a price, found a revert"}
    assert stage.key("DAI") not in book.prices
    assert "DAI lost" in book.moved
    for nothing in (0, -1):
        stage.do(broken, "set", nothing, False)
        assert stage.key("DAI") not in (await stage.read()).prices
    stage.do(broken, "set", 10**8, False)
    assert "DAI found" in (await stage.read()).moved


async def test_a_leap_waits_until_it_is_undone_or_has_lasted(stage: OracleStage) -> None:
    rule = SpikeRule(most_bps=3_000, pause_blocks=3)
    now = (await stage.follow(OraclePolicy(spike=rule))).prices[stage.key("WETH")].value
    push_price(stage.live, "WETH", now // 2)
    assert "expected to move by at most 30 %" in await stage.problem("WETH")
    push_price(stage.live, "WETH", now)
    assert await stage.problem("WETH") == ""
    push_price(stage.live, "WETH", now // 2)
    for _ in range(3):
        assert "found -50 %" in await stage.problem("WETH")
        stage.rpc.call("evm_mine")
    assert await stage.problem("WETH") == ""


async def test_a_capped_adapter_off_by_little_waits_where_the_operator_said_so(
    stage: OracleStage,
) -> None:
    """A cap that is 2.85 % too low decides over every loop of staked ether in its mode."""
    adapter = stage.deploy("RatioAdapter", stage.live.market.asset("WETH").feed)
    stage.do(adapter, "setRatio", 12 * 10**17)
    stage.set_source("wstETH", adapter.address)
    rule = SpikeRule(most_bps=3_000, pause_blocks=3)
    await stage.follow(OraclePolicy(spike=rule, most_moves_bps={"wstETH": 100}))
    stage.do(adapter, "setCap", 12 * 10**17 * 9_715 // 10_000)
    said = await stage.problem("wstETH")
    assert "expected to move by at most 1 % in a block, found -2.85 %" in said
    await stage.follow(OraclePolicy(spike=rule))
    stage.do(adapter, "setCap", 11 * 10**17)
    assert await stage.problem("wstETH") == ""


async def test_a_leap_in_an_event_is_held_before_the_head_is_read(stage: OracleStage) -> None:
    rule = SpikeRule(most_bps=3_000, pause_blocks=3)
    book = await stage.follow(OraclePolicy(spike=rule))
    block = push_price(stage.live, "WETH", 3 * book.prices[stage.key("WETH")].value)
    head = await stage.scene.chain.reader.block(block)
    (log,) = await stage.scene.chain.reader.logs_at(stage.watcher.log_filter(), head)
    after = stage.watcher.apply(book, log, head)
    assert "found 200 %" in after.problems[stage.key("WETH")]
    assert after.prices[stage.key("WETH")].value == 3 * book.prices[stage.key("WETH")].value


async def test_a_second_feed_that_disagrees_stops_acting(stage: OracleStage) -> None:
    other = stage.deploy_aggregator(low=1, high=10**30, decimals=18)
    proxy = stage.deploy_proxy(other)
    now = oracle_prices(stage.live)["WETH"]
    submit(stage, other, now * 10**10)
    opinion = FeedOpinion(proxy=proxy.address, most_bps=200, decimals=8)
    await stage.follow(OraclePolicy(second_sources={"WETH": opinion}))
    assert await stage.problem("WETH") == ""
    push_price(stage.live, "WETH", now * 102 // 100)
    assert await stage.problem("WETH") == ""
    push_price(stage.live, "WETH", now * 103 // 100)
    said = await stage.problem("WETH")
    assert said.startswith(f"WETH: expected {now} within 2 % (feed {proxy.address}), found ")


def eth_pool(stage: OracleStage) -> tuple[Address, int]:
    pools = [p for p in stage.live.market.pools if {p.symbol0, p.symbol1} == {"WETH", "USDC"}]
    return pools[0].address, pools[0].fee


async def test_a_pools_mean_price_is_the_second_source(stage: OracleStage) -> None:
    pool, _ = eth_pool(stage)
    opinion = PoolOpinion(
        pool=pool, base=stage.key("WETH"), quote="USDC", window_s=600, most_bps=300, decimals=8
    )
    stage.wait(700)
    await stage.follow(OraclePolicy(second_sources={"WETH": opinion}))
    assert await stage.problem("WETH") == ""
    assert stage.book is not None
    mean = stage.book.evidence.seconds[stage.key("WETH")]
    now = oracle_prices(stage.live)["WETH"]
    assert mean is not None
    assert abs(mean - now) * 1_000 < now
    push_price(stage.live, "WETH", now * 104 // 100)
    assert f"within 3 % (mean of 600 s in pool {pool})" in await stage.problem("WETH")


async def test_a_pools_mean_price_of_its_second_token_is_the_inverse(stage: OracleStage) -> None:
    pool, _ = eth_pool(stage)
    opinion = PoolOpinion(
        pool=pool, base=stage.key("USDC"), quote="WETH", window_s=600, most_bps=300, decimals=8
    )
    stage.wait(700)
    book = await stage.follow(OraclePolicy(second_sources={"USDC": opinion}))
    mean = book.evidence.seconds[stage.key("USDC")]
    assert mean is not None
    assert abs(mean - 10**8) < 10**5


async def test_the_mean_lags_a_swap_and_a_window_that_is_forgotten_is_no_opinion(
    stage: OracleStage,
) -> None:
    pool, _ = eth_pool(stage)
    weth = stage.key("WETH")
    opinion = PoolOpinion(
        pool=pool, base=weth, quote="USDC", window_s=600, most_bps=300, decimals=8
    )
    contract = next(c for c, _ in stage.live.exchange_pools if c.address == pool)
    stage.do(contract, "increaseObservationCardinalityNext", 20)
    stage.wait(700)
    await stage.follow(OraclePolicy(second_sources={"WETH": opinion}))
    now = oracle_prices(stage.live)["WETH"]
    move_market(stage.live, {"WETH": now * 80 // 100})
    stage.wait(30)
    assert "within 3 %" in await stage.problem("WETH")
    stage.wait(700)
    assert await stage.problem("WETH") == ""
    forgotten = PoolOpinion(
        pool=pool, base=weth, quote="USDC", window_s=10 * DAY, most_bps=300, decimals=8
    )
    await stage.follow(OraclePolicy(second_sources={"WETH": forgotten}))
    assert "expected a second price from mean of 864000 s" in await stage.problem("WETH")


async def test_a_second_source_that_is_none_says_so(stage: OracleStage) -> None:
    nobody = Address("0x" + "12" * 20)
    opinions = {
        "WETH": FeedOpinion(proxy=nobody, most_bps=1, decimals=8),
        "DAI": PoolOpinion(
            pool=nobody, base=nobody, quote=None, window_s=60, most_bps=1, decimals=8
        ),
    }
    await stage.follow(OraclePolicy(second_sources=opinions))
    assert "expected decimals of the second feed" in await stage.problem("WETH")
    assert "found no pool" in await stage.problem("DAI")


async def test_a_sequencer_that_is_down_or_just_up_stops_all_acting(stage: OracleStage) -> None:
    status = stage.deploy_aggregator(low=0, high=1)
    proxy = stage.deploy_proxy(status)
    node = Sender.of(stage.rpc, stage.live.market.accounts.oracle_node)
    node.call(status, "submit", 1, 1)
    node.mine()
    policy = OraclePolicy(sequencer=Sequencer(feed=proxy.address, grace_s=3_600))
    book = await stage.follow(policy)
    assert set(book.problems) == set(book.prices)
    assert "sequencer: expected it up, found it down" in await stage.problem("WETH")
    node.call(status, "submit", 2, 0)
    node.mine()
    assert "expected it up for more than 3600 s" in await stage.problem("WETH")
    stage.wait(3_601)
    assert not (await stage.read()).problems


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
    after = await stage.watcher.reread(book, logs, head)
    for log in logs:
        after = stage.watcher.apply(after, log, head)
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


async def test_doctor_names_a_head_of_another_time_and_a_sequencer_that_is_down(
    stage: OracleStage, market_copy: MarketNode, tmp_path: Path
) -> None:
    status = stage.deploy_aggregator(low=0, high=1)
    submit(stage, status, 1)
    proxy = stage.deploy_proxy(status)
    files = KeeperFiles(rpc=market_copy.anvil.ws_url, mode="observe", executor=None, recipient=None)
    config = write_config(tmp_path, market_copy.market, files)
    settings = load(config)
    head = await stage.head()

    async def found(now: int, **changed: object) -> Finding:
        chain = settings.chain.model_copy(update=changed)
        asked = examine(replace(settings, chain=chain), InstantClock(now))
        return next(one for one in [one async for one in asked] if one.what == "head")

    assert (await found(0)).detail == "of its own time"
    late = await found(head.timestamp + 61, follows_wall_clock=True)
    assert (late.good, "found it 61 s old" in late.detail) == (False, True)
    assert (await found(head.timestamp + 60, follows_wall_clock=True)).good
    down = await found(0, sequencer=SequencerSettings(feed=proxy.address))
    assert (down.good, "found it down" in down.detail) == (False, True)


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
    after = await stage.watcher.reread(book, logs, head)
    for log in logs:
        after = stage.watcher.apply(after, log, head)
    assert after.prices[stage.key("wstETH")].value == 1_500 * 10**8
    assert after.prices[stage.key("WETH")].value == 2_000 * 10**8
    assert (await stage.read()).prices[stage.key("WETH")].value == 2_000 * 10**8
    stage.wait(301)
    assert (await stage.read()).prices[stage.key("WETH")].value == 1_500 * 10**8
