"""The stream of heads outlives its connections, and silence is noticed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from keeper.chain.head_tracker import HeadEvent
from keeper.chain.rpc import RetryPolicy
from keeper.chain.session import Chain, ChainOptions, open_chain
from keeper.chain.trouble import Trouble
from keeper.core.units import ZERO_ADDRESS
from keeper.runtime.clock import Clock, SystemClock
from tests.support.eventually import PATIENCE_S, eventually
from tests.support.fake_chain import FakeChainNode
from tests.support.fake_node import HTML, FakeNode, Refusal, fake_node


class HurriedClock(SystemClock):
    """Sleeps a hundredth of what it is asked; its time runs as fast, until a test stops it."""

    stopped_at: float | None = None

    def monotonic(self) -> float:
        return super().monotonic() * 100 if self.stopped_at is None else self.stopped_at

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / 100)


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    async with fake_node() as made:
        yield made


@pytest.fixture
def chain(node: FakeNode) -> FakeChainNode:
    return FakeChainNode(node, first=5, last=10)


@asynccontextmanager
async def opened(
    *urls: str, check_s: float = 60.0, stall_s: float = 1e6, clock: Clock | None = None
) -> AsyncIterator[Chain]:
    options = ChainOptions(
        chain_id=1,
        multicall3=ZERO_ADDRESS,
        retry=RetryPolicy(timeout_s=30.0, budget_s=0.0),
        check_s=check_s,
        stall_s=stall_s,
    )
    async with open_chain(urls, options, clock=clock or HurriedClock()) as made:
        yield made


class Listened:
    """What a stream of heads told, and the trouble that it reported."""

    def __init__(self, chain: Chain) -> None:
        self.trouble: list[Trouble] = []
        self.stream = chain.heads(report=lambda trouble, _: self.trouble.append(trouble))
        self.events = self.stream.follow()

    async def take(self, count: int) -> list[tuple[int, int | None]]:
        async with asyncio.timeout(PATIENCE_S):
            found: list[HeadEvent] = [await anext(self.events) for _ in range(count)]
        return [(event.block.number, event.reorg_from) for event in found]

    async def take_after_subscribing_again(self, node: FakeNode, chain: FakeChainNode) -> None:
        number = int(chain.head["number"], 16) + 1
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(self.take(1))
            await eventually(lambda: len(node.subscribed) == 2)
            chain.add(number)
            await chain.push_head()
        assert waiting.result() == [(number, None)]


@asynccontextmanager
async def listening(chain: Chain) -> AsyncIterator[Listened]:
    heard = Listened(chain)
    async with aclosing(heard.events):
        yield heard


async def test_pushed_heads_begin_with_the_head_that_is(
    node: FakeNode, chain: FakeChainNode
) -> None:
    async with opened(node.ws_url) as open_, listening(open_) as heard:
        assert await heard.take(1) == [(10, None)]
        chain.add(11)
        await chain.push_head()
        assert await heard.take(1) == [(11, None)]
    assert node.subscribed == [["newHeads"]]


async def test_heads_missed_while_the_connection_was_lost_are_filled_in(
    node: FakeNode, chain: FakeChainNode
) -> None:
    async with opened(node.url, node.ws_url) as open_, listening(open_) as heard:
        await heard.take(1)
        await node.drop_sockets()
        for number in (11, 12, 13):
            chain.add(number)
        assert await heard.take(3) == [(11, None), (12, None), (13, None)]
        assert heard.trouble == [Trouble.LOST, Trouble.RESUMED]
        await heard.take_after_subscribing_again(node, chain)


async def test_the_stream_goes_on_after_a_node_that_speaks_no_json(
    node: FakeNode, chain: FakeChainNode
) -> None:
    async with opened(node.url) as open_, listening(open_) as heard:
        await heard.take(1)
        node.faults.extend([HTML] * 5)
        chain.add(11)
        assert await heard.take(1) == [(11, None)]
        assert heard.trouble == [Trouble.LOST] * 5 + [Trouble.RESUMED]


async def test_a_refused_subscription_is_tried_again(node: FakeNode, chain: FakeChainNode) -> None:
    async with opened(node.url, node.ws_url) as open_, listening(open_) as heard:
        node.faults.append(Refusal(code=-32005, message="too many subscriptions"))
        assert await heard.take(1) == [(10, None)]
        assert heard.trouble == [Trouble.LOST, Trouble.RESUMED]


async def test_a_reorg_that_is_pushed_is_told_from_its_root(
    node: FakeNode, chain: FakeChainNode
) -> None:
    async with opened(node.ws_url) as open_, listening(open_) as heard:
        await heard.take(1)
        chain.add(10, fork="b", parent_fork="a")
        await chain.push_head()
        chain.add(11, fork="b")
        await chain.push_head()
        # Only the head was known before, so nothing below it can be vouched for.
        assert await heard.take(2) == [(10, 9), (11, None)]


async def test_a_rollback_that_nobody_pushes_is_found_by_looking(
    node: FakeNode, chain: FakeChainNode
) -> None:
    async with opened(node.ws_url, check_s=0.02) as open_, listening(open_) as heard:
        await heard.take(1)
        for number in (11, 12):
            chain.add(number)
            await chain.push_head()
        await heard.take(2)
        chain.shrink(11)
        assert await heard.take(1) == [(11, 11)]


async def test_a_frozen_subscription_is_given_up_for_another(
    node: FakeNode, chain: FakeChainNode
) -> None:
    async with opened(node.url, node.ws_url, check_s=0.02) as open_, listening(open_) as heard:
        await heard.take(1)
        chain.add(11)
        assert await heard.take(1) == [(11, None)]
        chain.add(12)
        assert await heard.take(1) == [(12, None)]
        assert heard.trouble == [Trouble.LOST, Trouble.RESUMED]
        await heard.take_after_subscribing_again(node, chain)


async def test_a_subscription_that_tells_old_heads_alone_is_given_up_as_a_frozen_one(
    node: FakeNode, chain: FakeChainNode
) -> None:
    old = chain.head

    async def repeat() -> None:
        while True:
            await node.push("0x1", old)
            await asyncio.sleep(0.01)

    async with opened(node.url, node.ws_url, check_s=5.0) as open_, listening(open_) as heard:
        await heard.take(1)
        repeating = asyncio.create_task(repeat())
        try:
            for number in (11, 12):
                chain.add(number)
                assert await heard.take(1) == [(number, None)]
        finally:
            repeating.cancel()
        assert heard.trouble == [Trouble.LOST, Trouble.RESUMED]


async def test_what_a_node_pushes_that_was_found_unfit_is_left_for_looking(
    node: FakeNode, chain: FakeChainNode
) -> None:
    async with fake_node() as late:
        behind = FakeChainNode(late, first=5, last=10)
        async with opened(node.url, late.ws_url) as open_, listening(open_) as heard:
            assert await heard.take(1) == [(10, None)]
            for number in range(11, 31):
                chain.add(number)
            await eventually(lambda: "blocks behind" in open_.nodes()[1].trouble)
            behind.add(11)
            await behind.push_head()
            assert (await heard.take(20))[-1] == (30, None)
            for number in range(12, 32):
                behind.add(number)
            chain.add(31)
            assert await heard.take(1) == [(31, None)]
            await heard.take_after_subscribing_again(late, behind)


async def test_a_node_without_a_block_below_its_head_is_left_for_another(
    node: FakeNode, chain: FakeChainNode
) -> None:
    async with fake_node() as other:
        whole = FakeChainNode(other, first=5, last=10)
        async with opened(node.url, other.url, stall_s=30.0) as open_, listening(open_) as heard:
            await heard.take(1)
            for one in (whole, chain):
                one.add(11)
                one.add(12)
            del chain.every[chain.blocks.pop(11)["hash"]]
            assert await heard.take(2) == [(11, None), (12, None)]
            assert heard.trouble[0] is Trouble.STALLED
            assert [one.is_active for one in open_.nodes()] == [False, True]


async def test_silence_is_reported_and_ends_with_the_next_head(
    node: FakeNode, chain: FakeChainNode
) -> None:
    clock = HurriedClock()
    async with opened(node.url, stall_s=3.0, clock=clock) as open_, listening(open_) as heard:
        await heard.take(1)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(heard.take(1))
            await eventually(lambda: Trouble.STALLED in heard.trouble)
            assert not waiting.done()
            clock.stopped_at = clock.monotonic()
            chain.add(11)
        assert waiting.result() == [(11, None)]
        assert heard.stream.silent_s() == 0.0
        assert heard.trouble[-1] is Trouble.BACK


async def test_a_node_that_is_gone_for_long_is_a_stall_while_it_is_gone_and_not_when_it_is_back(
    node: FakeNode, chain: FakeChainNode
) -> None:
    async with opened(node.url, stall_s=30.0) as open_, listening(open_) as heard:
        await heard.take(1)
        node.faults.extend([HTML] * 10)  # forty seconds of this clock, all waits together
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(heard.take(1))
            await eventually(lambda: Trouble.RESUMED in heard.trouble)
            chain.add(11)
        assert waiting.result() == [(11, None)]
    assert Trouble.STALLED in heard.trouble
    assert heard.trouble[-2:] == [Trouble.RESUMED, Trouble.BACK]
