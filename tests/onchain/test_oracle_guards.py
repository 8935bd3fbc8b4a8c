"""Guards on real aggregators, proxies and Aave's oracle: what stops acting, and when."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from keeper.app.examine import Finding, examine
from keeper.app.prices import warning_watcher_for
from keeper.config.chain_file import SequencerSettings
from keeper.config.settings import load
from keeper.core.chain import BlockRef
from keeper.core.errors import StaleError
from keeper.core.values import replace
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.prices import oracle_prices, push_price
from keeper.devnet.sender import Sender
from keeper.oracle.guards import SpikeRule
from keeper.oracle.policy import OraclePolicy, Sequencer
from keeper.oracle.watcher import PriceWatcher
from tests.support.instant_clock import InstantClock
from tests.support.market_node import MarketNode
from tests.support.oracle_stage import DAY, OracleStage, oracle_stage, submit

stage = pytest.fixture(oracle_stage)


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


async def test_a_leap_is_held_by_who_starts_after_it(stage: OracleStage) -> None:
    policy = OraclePolicy(spike=SpikeRule(most_bps=3_000, pause_blocks=4))
    now = (await stage.follow(policy)).prices[stage.key("WETH")].value
    push_price(stage.live, "WETH", now // 2)
    for _ in range(4):
        seen, started = await stage.problem("WETH"), await started_problem(stage, policy, "WETH")
        assert "found -50 %" in seen
        assert started == seen  # in the same words: from the same block on
        push_price(stage.live, "DAI", 10**8)
    assert await started_problem(stage, policy, "WETH") == await stage.problem("WETH") == ""
    push_price(stage.live, "WETH", now)
    stage.rpc.call("evm_mine")
    assert "found 100 %" in await started_problem(stage, policy, "WETH")
    push_price(stage.live, "WETH", now // 2)
    assert await started_problem(stage, policy, "WETH") == ""  # it came back


async def test_a_leap_that_no_event_tells_is_held_by_who_starts_after_it(
    stage: OracleStage,
) -> None:
    policy = OraclePolicy(spike=SpikeRule(most_bps=3_000, pause_blocks=4))
    now = (await stage.follow(policy)).prices[stage.key("WETH")].value
    vault = stage.deploy("SetPrice", now)
    stage.set_source("WETH", vault.address)
    await stage.follow(policy)
    for _ in range(4):
        stage.rpc.call("evm_mine")
    stage.do(vault, "set", now // 2, False)
    for _ in range(4):
        assert "found -50 %" in await stage.problem("WETH")
        assert "found -50 %" in await started_problem(stage, policy, "WETH")
        stage.rpc.call("evm_mine")
    assert await started_problem(stage, policy, "WETH") == ""


async def test_a_node_without_old_states_tells_of_no_leap_before_the_start(
    stage: OracleStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = OraclePolicy(spike=SpikeRule(most_bps=3_000, pause_blocks=4))
    now = (await stage.follow(policy)).prices[stage.key("WETH")].value
    push_price(stage.live, "WETH", now // 2)

    async def gone(number: int) -> BlockRef:
        msg = f"block {number}: expected its state, found that it is pruned"
        raise StaleError(msg)

    monkeypatch.setattr(stage.scene.chain.reader, "block", gone)
    assert await started_problem(stage, policy, "WETH") == ""


async def started_problem(stage: OracleStage, policy: OraclePolicy, symbol: str) -> str:
    """Return why a watcher that starts now does not act on an asset's price."""
    watcher, head = PriceWatcher(stage.scene.chain.reader, policy), await stage.head()
    await watcher.follow(stage.scene.adapter.feeds(stage.market), head)
    return (await watcher.first(head)).problems.get(stage.key(symbol), "")


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


async def test_a_running_keeper_says_once_which_guard_is_of_no_feed(
    market_copy: MarketNode, stage: OracleStage, tmp_path: Path
) -> None:
    await stage.follow()
    feeds = [one.feed for one in stage.watcher.following.feeds.values()]
    files = KeeperFiles(rpc=market_copy.anvil.ws_url, mode="observe", executor=None, recipient=None)
    config = write_config(tmp_path, market_copy.market, files)
    with (tmp_path / "aave_v3.local.yaml").open("a", encoding="utf-8") as file:
        file.write("heartbeats_s: {WETH: 90000, WETC: 60}\n")
    watcher = warning_watcher_for(load(config), "aave_v3.local", stage.scene.chain.reader)
    with capture_logs() as logs:
        for _ in range(2):
            await watcher.follow(feeds, await stage.head())
    wanted = "expected the label or the source of one of its feeds"
    why = f"heartbeats_s: {wanted}, found 'WETC'; did you mean 'WETH'?"
    assert [(one["event"], one["why"]) for one in logs] == [("guard.idle", why)]
