"""Logs are told once each, as they come, over every loss of the connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from keeper.chain.log_stream import LogStream
from keeper.chain.rpc import RetryPolicy
from keeper.chain.session import ChainOptions, open_chain
from keeper.chain.trouble import Trouble
from keeper.core.chain import Log, LogFilter
from keeper.core.units import ZERO_ADDRESS, Hash32, address
from tests.support.eventually import eventually
from tests.support.fake_chain import FakeChainNode, log_record
from tests.support.fake_node import FakeNode, Refusal, fake_node
from tests.unit.test_chain_heads import HurriedClock

FEED = address("0x" + "fe" * 20)
OTHER = address("0x" + "0f" * 20)
TOPIC = Hash32("0x" + "01" * 32)


def wanting(*addresses: str) -> LogFilter:
    return LogFilter(addresses=frozenset(map(address, addresses)), topics=frozenset({TOPIC}))


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    async with fake_node() as made:
        yield made


@pytest.fixture
def chain(node: FakeNode) -> FakeChainNode:
    return FakeChainNode(node, first=5, last=10)


class Listened:
    """A stream being read in the background."""

    def __init__(self, stream: LogStream, troubles: list[Trouble]) -> None:
        self.stream = stream
        self.told: list[tuple[int, int, bool]] = []
        self.troubles = troubles

    async def read(self) -> None:
        async with aclosing(self.stream.follow()) as logs:
            async for log in logs:
                self.told.append(_brief(log))

    async def until(self, count: int) -> list[tuple[int, int, bool]]:
        await eventually(lambda: len(self.told) >= count)
        return self.told


def _brief(log: Log) -> tuple[int, int, bool]:
    return (log.block_number, log.index, log.removed)


@asynccontextmanager
async def listening(*urls: str, wanted: LogFilter | None = None) -> AsyncIterator[Listened]:
    options = ChainOptions(
        chain_id=1, multicall3=ZERO_ADDRESS, retry=RetryPolicy(timeout_s=30.0, budget_s=0.0)
    )
    troubles: list[Trouble] = []

    def report(trouble: Trouble, _: str) -> None:
        troubles.append(trouble)

    async with (
        open_chain(urls, options, clock=HurriedClock(), report=report) as chain,
        asyncio.TaskGroup() as group,
    ):
        heard = Listened(chain.logs(wanted or wanting(FEED)), troubles)
        reading = group.create_task(heard.read())
        yield heard
        reading.cancel()


async def subscribed(node: FakeNode, count: int) -> None:
    await eventually(
        lambda: len(node.subscribed) >= count and "eth_getBlockByNumber" in node.methods()
    )


async def test_pushed_logs_are_told_once(node: FakeNode, chain: FakeChainNode) -> None:
    async with listening(node.ws_url) as heard:
        await subscribed(node, 1)
        for log in (log_record(11, 0, address=FEED), log_record(11, 1, address=FEED)):
            await node.push("0x1", log)
            await node.push("0x1", log)
        assert await heard.until(2) == [(11, 0, False), (11, 1, False)]
    assert node.subscribed == [["logs", {"address": [FEED], "topics": [[TOPIC]]}]]


async def test_a_removed_log_is_told_as_removed(node: FakeNode, chain: FakeChainNode) -> None:
    async with listening(node.ws_url) as heard:
        await subscribed(node, 1)
        await node.push("0x1", log_record(11, address=FEED))
        await node.push("0x1", log_record(11, address=FEED, removed=True))
        assert await heard.until(2) == [(11, 0, False), (11, 0, True)]


async def test_a_log_that_a_second_reorg_brings_back_is_told_again(
    node: FakeNode, chain: FakeChainNode
) -> None:
    there, gone = (log_record(11, address=FEED, removed=removed) for removed in (False, True))
    async with listening(node.ws_url) as heard:
        await subscribed(node, 1)
        for log in (there, there, gone, gone, there, there, gone):
            await node.push("0x1", log)
        told = [(11, 0, removed) for removed in (False, True, False, True)]
        assert await heard.until(4) == told


async def test_logs_missed_while_the_connection_was_lost_are_read_afterwards(
    node: FakeNode, chain: FakeChainNode
) -> None:
    async with listening(node.url, node.ws_url) as heard:
        await subscribed(node, 1)
        await node.push("0x1", chain.add_log(log_record(10, address=FEED)))
        await heard.until(1)
        chain.add(11)
        chain.add(12)
        chain.add_log(log_record(11, address=FEED))
        chain.add_log(log_record(12, address=FEED))
        await node.drop_sockets()
        assert await heard.until(3) == [(10, 0, False), (11, 0, False), (12, 0, False)]
        await subscribed(node, 2)
        await node.push("0x2", log_record(13, address=FEED))
        assert (await heard.until(4))[-1] == (13, 0, False)


async def test_logs_that_could_not_be_read_after_a_loss_are_read_after_the_next(
    node: FakeNode, chain: FakeChainNode
) -> None:
    async with listening(node.url, node.ws_url) as heard:
        await subscribed(node, 1)
        await node.push("0x1", chain.add_log(log_record(10, address=FEED)))
        await heard.until(1)
        answers, failed = node.answers["eth_getLogs"], asyncio.Event()

        def fail(_: object) -> object:
            failed.set()
            return {"not": "logs"}

        node.answers["eth_getLogs"] = fail
        chain.add(11)
        chain.add(12)
        chain.add_log(log_record(11, address=FEED))
        await node.drop_sockets()
        await eventually(failed.is_set)
        node.answers["eth_getLogs"] = answers
        assert await heard.until(2) == [(10, 0, False), (11, 0, False)]


async def test_a_gap_that_the_node_refuses_to_tell_holds_up_no_later_log(
    node: FakeNode, chain: FakeChainNode
) -> None:
    async with listening(node.url, node.ws_url) as heard:
        await subscribed(node, 1)
        await node.push("0x1", chain.add_log(log_record(10, address=FEED)))
        await heard.until(1)
        answers, refused = node.answers["eth_getLogs"], asyncio.Event()

        def refuse(params: list[Any]) -> object:
            if int(params[0]["fromBlock"], 16) > 10:
                return answers(params)
            refused.set()
            return Refusal(code=-32000, message="pruned")

        node.answers["eth_getLogs"] = refuse
        await node.drop_sockets()
        await eventually(refused.is_set)
        chain.add(11)
        chain.add_log(log_record(11, address=FEED))
        assert await heard.until(2) == [(10, 0, False), (11, 0, False)]


async def test_logs_of_the_time_in_which_no_node_that_pushes_was_fit_are_read_afterwards(
    node: FakeNode, chain: FakeChainNode
) -> None:
    async with fake_node() as late:
        behind = FakeChainNode(late, first=5, last=10)
        async with listening(node.url, late.ws_url) as heard:
            await subscribed(late, 1)
            await eventually(lambda: heard.stream._from is not None)  # it looked where it began
            chain.add_log(log_record(29, address=FEED))
            for number in range(11, 31):
                chain.add(number)
            await eventually(lambda: Trouble.UNFIT in heard.troubles)
            await eventually(lambda: len(late.sockets) == 1)  # that of calls
            for number in range(11, 31):
                behind.add(number)
            assert await heard.until(1) == [(29, 0, False)]
            await subscribed(late, 2)


async def test_a_new_connection_resumes_at_the_last_log_that_was_pushed(
    node: FakeNode, chain: FakeChainNode
) -> None:
    async with listening(node.url, node.ws_url) as heard:
        await subscribed(node, 1)
        for number in (11, 12, 13):
            chain.add(number)
            await node.push("0x1", chain.add_log(log_record(number, address=FEED)))
        await heard.until(3)
        await node.drop_sockets()
        await eventually(lambda: "eth_getLogs" in node.methods())
    (query,) = next(params for method, params in node.asked if method == "eth_getLogs")
    assert (query["fromBlock"], query["toBlock"]) == (hex(13), hex(13))
    assert len(heard.told) == 3


async def test_other_addresses_can_be_followed_on_the_way(
    node: FakeNode, chain: FakeChainNode
) -> None:
    async with listening(node.ws_url) as heard:
        await subscribed(node, 1)
        heard.stream.watch(wanting(OTHER))
        await subscribed(node, 2)
        await node.push("0x2", log_record(11, address=OTHER))
        assert await heard.until(1) == [(11, 0, False)]
    assert node.subscribed[1][1]["address"] == [OTHER]
    assert ("eth_unsubscribe", ["0x1"]) in node.asked


async def test_nothing_wanted_subscribes_to_nothing_until_something_is(
    node: FakeNode, chain: FakeChainNode
) -> None:
    async with listening(node.ws_url, wanted=wanting()) as heard:
        await subscribed(node, 0)
        assert node.subscribed == []
        heard.stream.watch(wanting(FEED))
        await subscribed(node, 1)
        await node.push("0x1", log_record(11, address=FEED))
        assert await heard.until(1) == [(11, 0, False)]


async def test_over_http_logs_are_read_head_by_head(node: FakeNode, chain: FakeChainNode) -> None:
    chain.add_log(log_record(9, address=FEED))
    chain.add_log(log_record(10, address=FEED))
    async with listening(node.url) as heard:
        await heard.until(1)
        chain.add_log(log_record(11, address=FEED))
        chain.add(11)
        chain.add_log(log_record(12, address=FEED))
        chain.add(12)
        assert await heard.until(3) == [(10, 0, False), (11, 0, False), (12, 0, False)]


async def test_over_http_the_logs_of_a_failed_look_come_with_the_next(
    node: FakeNode, chain: FakeChainNode
) -> None:
    async with listening(node.url) as heard:
        await subscribed(node, 0)
        kept = node.answers["eth_getLogs"]
        failed = asyncio.Event()

        def fail(_: object) -> object:
            failed.set()
            return {"not": "logs"}

        node.answers["eth_getLogs"] = fail
        chain.add_log(log_record(11, address=FEED))
        chain.add(11)
        await eventually(failed.is_set)
        node.answers["eth_getLogs"] = kept
        chain.add(12)
        assert await heard.until(1) == [(11, 0, False)]


async def test_a_notification_that_is_no_log_makes_it_connect_anew(
    node: FakeNode, chain: FakeChainNode
) -> None:
    async with listening(node.ws_url) as heard:
        await subscribed(node, 1)
        await node.push("0x1", {"not": "a log"})
        await subscribed(node, 2)
        await node.push("0x2", log_record(11, address=FEED))
        assert await heard.until(1) == [(11, 0, False)]
