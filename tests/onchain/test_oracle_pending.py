"""Price updates seen in the mempool of a real node, before and after they are mined."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path

import pytest
from eth_abi.abi import encode

from keeper.app.session import keeper_session
from keeper.config.settings import load
from keeper.core.errors import ConfigError
from keeper.core.pending import PendingTransaction
from keeper.core.units import Address, Hash32
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.contract import create_address
from keeper.devnet.sender import Sender, read
from keeper.oracle.pending import FORWARD, SELECTORS, TRANSMIT_SECONDARY
from keeper.oracle.policy import OraclePolicy
from tests.support.eventually import eventually
from tests.support.heard import Heard
from tests.support.market_node import MarketNode
from tests.support.oracle_stage import OracleStage, oracle_stage

_HASH = Hash32("0x" + "ab" * 32)


stage = pytest.fixture(oracle_stage)


def submission(stage: OracleStage, symbol: str, answer: int, to: Address | None = None) -> str:
    """Send one oracle's answer without mining it; return the transaction's hash."""
    node = Sender.of(stage.rpc, stage.live.market.accounts.oracle_node)
    aggregator = stage.live.aggregators[symbol]
    number = read(stage.rpc, aggregator, "latestRound") + 1
    data = aggregator.encode("submit", number, answer)
    if to is not None:
        data = FORWARD + encode(["address", "bytes"], [aggregator.address, data])
    node.add("submit", to=to or aggregator.address, data=data)
    ((_, tx_hash),) = node.submit()
    return str(tx_hash)


async def seen(stage: OracleStage, send: object) -> PendingTransaction:
    """Return the first transaction that the stream tells of after ``send``."""
    stream = stage.scene.chain.pending(SELECTORS)
    assert stream is not None
    async with aclosing(stream.follow()) as transactions, asyncio.timeout(90):
        first = asyncio.ensure_future(anext(transactions))
        while not first.done():
            await asyncio.sleep(0.1)
            if not first.done():
                await asyncio.to_thread(send)  # type: ignore[arg-type]
            await asyncio.sleep(0.2)
        return first.result()


async def test_a_pending_submission_foretells_the_price_that_it_makes(stage: OracleStage) -> None:
    book = await stage.follow()
    stage.rpc.call("evm_setAutomine", False)
    answer = 1_777 * 10**8
    found = await seen(stage, lambda: submission(stage, "WETH", answer))
    pending = stage.watcher.pending(found)
    assert pending is not None
    assert pending.prices == {stage.key("WETH"): answer}
    assert pending.aggregator == stage.live.aggregators["WETH"].address
    assert not pending.also
    foreseen = stage.watcher.foresee(book, pending)
    assert foreseen.prices[stage.key("WETH")].value == answer
    assert book.prices[stage.key("WETH")].value != answer
    assert (await stage.read()).prices[stage.key("WETH")].value != answer
    stage.rpc.call("evm_mine")
    mined = await stage.read()
    assert {k: p.value for k, p in mined.prices.items()} == {
        k: p.value for k, p in foreseen.prices.items()
    }
    assert (
        pending.tx_hash in stage.rpc.call("eth_getBlockByNumber", "latest", False)["transactions"]
    )


@pytest.mark.parametrize("answer", [1, 10**16], ids=["lowest", "highest"])
async def test_a_pending_answer_at_the_aggregators_bound_is_objected_to_as_its_event_is(
    stage: OracleStage, answer: int
) -> None:
    book, key = await stage.follow(), stage.key("WETH")
    stage.rpc.call("evm_setAutomine", False)
    pending = stage.watcher.pending(await seen(stage, lambda: submission(stage, "WETH", answer)))
    assert pending is not None
    foreseen = stage.watcher.foresee(book, pending).problems
    assert f"{answer}, found {answer}" in foreseen[key]
    stage.rpc.call("evm_mine")
    assert (await stage.read()).problems == foreseen


async def test_a_pending_update_of_a_feed_past_its_heartbeat_is_no_old_answer(
    stage: OracleStage,
) -> None:
    await stage.follow(OraclePolicy(heartbeats_s={"WETH": 3_600}))
    stage.wait(3_700)
    book, key = await stage.read(), stage.key("WETH")
    assert key in book.problems
    stage.rpc.call("evm_setAutomine", False)
    pending = stage.watcher.pending(await seen(stage, lambda: submission(stage, "WETH", 10**11)))
    assert pending is not None
    assert not stage.watcher.foresee(book, pending).problems
    stage.rpc.call("evm_mine")
    assert not (await stage.read()).problems


async def test_a_forwarded_update_is_seen_through_its_forwarder(stage: OracleStage) -> None:
    forwarder = stage.deploy("Forwarder")
    await stage.follow()
    stage.rpc.call("evm_setAutomine", False)
    found = await seen(stage, lambda: submission(stage, "WETH", 1_500 * 10**8, forwarder.address))
    assert found.to == forwarder.address
    pending = stage.watcher.pending(found)
    assert pending is not None
    assert pending.prices == {stage.key("WETH"): 1_500 * 10**8}


async def test_feeds_that_adapters_make_of_an_answer_are_named_without_a_price(
    stage: OracleStage,
) -> None:
    adapter = stage.deploy("RatioAdapter", stage.live.market.asset("WETH").feed)
    stage.set_source("wstETH", adapter.address)
    await stage.follow()
    aggregator = stage.live.aggregators["WETH"]
    update = PendingTransaction(
        hash=_HASH,
        sender=adapter.address,
        to=aggregator.address,
        data=aggregator.encode("submit", 9, 5),
    )
    pending = stage.watcher.pending(update)
    assert pending is not None
    assert pending.prices == {stage.key("WETH"): 5}
    assert pending.also == {stage.key("wstETH")}


async def test_a_report_to_one_face_of_an_svr_feed_moves_that_face_alone(
    stage: OracleStage,
) -> None:
    owner = stage.owner
    proxy_at = create_address(owner.account, owner.nonce + 1)
    dual = owner.deploy(stage.artifacts["TwoFacedAggregator"], proxy_at, 300, 2_000 * 10**8)
    late = owner.deploy(stage.proxy_artifact(), dual.address, "0x" + "00" * 20)
    owner.mine()
    primary = stage.deploy_proxy(dual, has_access=False)
    stage.set_source("WETH", late.address)
    stage.set_source("wstETH", primary.address)
    await stage.follow()
    report = encode(["uint32", "bytes32", "int192[]", "int192"], [1, b"\0" * 32, [1, 7, 9], 10**16])
    arguments = encode(
        ["bytes32[3]", "bytes", "bytes32[]", "bytes32[]", "bytes32"],
        [[b"\0" * 32] * 3, report, [], [], b"\0" * 32],
    )

    def prices(selector: bytes) -> Mapping[str, int]:
        update = PendingTransaction(
            hash=_HASH, sender=late.address, to=dual.address, data=selector + arguments
        )
        pending = stage.watcher.pending(update)
        assert pending is not None
        return pending.prices

    assert prices(TRANSMIT_SECONDARY) == {stage.key("WETH"): 7}
    assert prices(bytes.fromhex("b1dc65a4")) == {stage.key("wstETH"): 7}


async def test_transactions_of_others_are_nothing_to_us(stage: OracleStage) -> None:
    await stage.follow()
    aggregator = stage.live.aggregators["WETH"]
    stranger = PendingTransaction(
        hash=_HASH,
        sender=aggregator.address,
        to=stage.live.pool.address,
        data=aggregator.encode("submit", 9, 5),
    )
    assert stage.watcher.pending(stranger) is None
    creation = PendingTransaction(
        hash=_HASH, sender=aggregator.address, to=None, data=stranger.data
    )
    assert stage.watcher.pending(creation) is None


async def test_a_running_keeper_foresees_a_crash_and_does_not_act_on_it(
    market_copy: MarketNode, tmp_path: Path
) -> None:
    wanted = KeeperFiles(
        rpc=market_copy.anvil.ws_url, mode="observe", executor=None, recipient=None
    )
    config = write_config(tmp_path, market_copy.market, wanted)
    chain = tmp_path / "chain.yaml"
    chain.write_text(chain.read_text() + "watch_mempool: true\n")
    rpc, heard, stop = market_copy.live.rpc, Heard(), asyncio.Event()
    aggregator = market_copy.live.aggregators["WETH"]
    node = Sender.of(rpc, market_copy.market.accounts.oracle_node)
    number = read(rpc, aggregator, "latestRound") + 1
    async with keeper_session(load(config), heard) as session, asyncio.TaskGroup() as group:
        group.create_task(session.keeper.run(session.head, stop))
        await session.keeper.watching.wait()
        await eventually(lambda: bool(heard.blocks))
        rpc.call("evm_setAutomine", False)
        while not heard.foreseens:
            node.call(aggregator, "submit", number, 2_400 * 10**8)
            await asyncio.to_thread(node.submit)
            await asyncio.sleep(0.2)
        pending, under = heard.foreseens[0]
        assert under > 5
        assert set(heard.blocks) == {session.head.number}
        assert not heard.plans
        await asyncio.to_thread(rpc.call, "evm_mine")
        await eventually(lambda: max(heard.blocks) > session.head.number)
        assert heard.under[max(heard.blocks)] == under
        stop.set()
    assert pending.prices == {market_copy.market.asset("WETH").token: 2_400 * 10**8}


async def test_a_mempool_cannot_be_watched_through_a_node_that_does_not_push(
    market_copy: MarketNode, tmp_path: Path
) -> None:
    wanted = KeeperFiles(
        rpc=market_copy.anvil.http_url, mode="observe", executor=None, recipient=None
    )
    config = write_config(tmp_path, market_copy.market, wanted)
    chain = tmp_path / "chain.yaml"
    chain.write_text(chain.read_text() + "watch_mempool: true\n")
    with pytest.raises(ConfigError, match="watch_mempool: expected a ws or ipc node, found none"):
        async with keeper_session(load(config), Heard()):
            pass
