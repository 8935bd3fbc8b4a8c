"""Wide ranges are split as the node demands, and what it bears is remembered."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest

from keeper.chain.endpoint import parse_endpoint
from keeper.chain.errors import NodeRefusedError, OversizedError, SlowError
from keeper.chain.http import HttpTransport
from keeper.chain.jsonrpc import Reply, Request
from keeper.chain.log_ranges import LogRanges, log_query
from keeper.chain.rpc import RetryPolicy, Rpc
from keeper.core.chain import LogFilter
from keeper.core.errors import StaleError
from keeper.core.log_columns import LogColumns
from keeper.core.units import Hash32, address
from tests.support.fake_node import FakeNode, Refusal, block_hash, fake_node
from tests.support.instant_clock import InstantClock

POOL = address("0x" + "aa" * 20)
TOPIC = Hash32("0x" + "01" * 32)
WANTED = LogFilter(addresses=frozenset({POOL}), topics=frozenset({TOPIC}))
NO_SUCH_LIMIT = 10**9
GET_LOGS = "eth_getLogs"


def log(number: int, index: int = 0, *, removed: bool = False) -> dict[str, Any]:
    return {
        "address": POOL,
        "topics": [TOPIC],
        "data": "0x01",
        "blockNumber": hex(number),
        "blockHash": block_hash(number),
        "transactionHash": block_hash(number, "t"),
        "transactionIndex": "0x0",
        "logIndex": hex(index),
        "removed": removed,
    }


def limited(blocks: int, logs: int, message: Callable[[int], str]) -> Callable[[list[Any]], Any]:
    """Answer like a node with one log a block that refuses wide ranges and many logs."""

    def answer(params: list[Any]) -> Any:
        first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
        if last - first + 1 > min(blocks, logs):
            return Refusal(code=-32000, message=message(blocks))
        return [log(number) for number in range(first, last + 1)]

    return answer


@asynccontextmanager
async def long_chain() -> AsyncIterator[FakeNode]:
    async with fake_node() as node:
        node.answers["eth_blockNumber"] = lambda _: hex(10_000)
        yield node


async def read(
    node: FakeNode, first: int, last: int, *, ranges: LogRanges | None = None
) -> tuple[list[int], LogRanges]:
    async with aiohttp.ClientSession() as session:
        transport = HttpTransport(parse_endpoint(node.url), session, now=lambda: 0.0)
        ranges = ranges or LogRanges(Rpc(transport, clock=InstantClock()))
        ranges._rpc = Rpc(transport, clock=InstantClock())
        logs = await ranges.read(WANTED, first, last)
    return [one.block_number for one in logs], ranges


async def columns_at(node: FakeNode, ranges: LogRanges) -> LogColumns:
    """Return the first ten blocks' logs as columns."""
    async with aiohttp.ClientSession() as session:
        transport = HttpTransport(parse_endpoint(node.url), session, now=lambda: 0.0)
        ranges._rpc = Rpc(transport, clock=InstantClock())
        return await ranges.read_columns(WANTED, 0, 9)


async def test_one_question_is_enough_where_the_node_has_no_limit() -> None:
    async with long_chain() as node:
        node.answers["eth_getLogs"] = limited(NO_SUCH_LIMIT, NO_SUCH_LIMIT, str)
        found, _ = await read(node, 0, 999)
    assert found == list(range(1_000))
    assert node.asked[1:] == [
        ("eth_getLogs", [
            {"address": [POOL], "topics": [[TOPIC]], "fromBlock": "0x0", "toBlock": "0x3e7"}
        ])
    ]  # fmt: skip


@pytest.mark.parametrize(("many", "asked"), [(0, 1), (1_000, 4), (1_001, 1)])
def test_a_node_is_asked_for_no_more_words_than_it_takes(many: int, asked: int) -> None:
    words = frozenset(Hash32(f"0x{n:064x}") for n in range(many))
    wanted = LogFilter(addresses=frozenset({POOL}), topics=frozenset({TOPIC}), third=words)
    topics = log_query(wanted)["topics"]
    assert topics == [[TOPIC], None, None, sorted(words)][:asked]


@pytest.mark.parametrize(
    "message",
    [
        lambda n: f"eth_getLogs is limited to a {n:,} range",
        lambda n: f"You can make eth_getLogs requests with up to a {n} block range",
        lambda n: f"exceed maximum block range: {n} blocks",
    ],
)
async def test_a_limit_that_the_node_names_is_taken_at_its_word(
    message: Callable[[int], str],
) -> None:
    async with long_chain() as node:
        node.answers["eth_getLogs"] = limited(1_000, NO_SUCH_LIMIT, message)
        found, ranges = await read(node, 0, 3_999)
        assert found == list(range(4_000))
        assert node.methods().count(GET_LOGS) == 1 + 4
        assert ranges.span == 1_000
        node.asked.clear()
        await read(node, 0, 1_999, ranges=ranges)
        assert node.methods().count(GET_LOGS) == 2


async def test_a_limit_without_a_number_is_found_by_halving_and_remembered() -> None:
    async with long_chain() as node:
        node.answers["eth_getLogs"] = limited(
            NO_SUCH_LIMIT, 300, lambda _: "query returned more than 10000 results"
        )
        found, ranges = await read(node, 0, 1_023)
        assert found == list(range(1_024))
        assert 240 <= ranges.span <= 300
        node.asked.clear()
        await read(node, 0, ranges.span * 5 - 1, ranges=ranges)
        assert node.methods().count(GET_LOGS) == 5


async def test_denser_logs_narrow_a_range_that_was_borne_before() -> None:
    async with long_chain() as node:
        node.answers["eth_getLogs"] = limited(NO_SUCH_LIMIT, 300, lambda _: "too many results")
        _, ranges = await read(node, 0, 1_023)
        node.answers["eth_getLogs"] = limited(NO_SUCH_LIMIT, 20, lambda _: "too many results")
        found, ranges = await read(node, 0, 199, ranges=ranges)
        assert found == list(range(200))
        assert 15 <= ranges.span <= 20


async def test_a_dense_spot_does_not_narrow_all_that_comes_after_it() -> None:
    def answer(params: list[Any]) -> Any:
        first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
        crowded = sum(first <= number <= last for number in range(1_000, 1_003))
        if 6_000 * crowded > 10_000:
            return Refusal(code=-32005, message="query returned more than 10000 results")
        return []

    async with fake_node() as node:
        node.answers["eth_blockNumber"] = lambda _: hex(20_000)
        node.answers["eth_getLogs"] = answer
        _, ranges = await read(node, 0, 20_000)
        assert node.methods().count(GET_LOGS) < 1_000
        assert ranges.span > 100


class Searching:
    """A node without limits, which tells the logs of so many blocks in time and no more."""

    name = "node"

    def __init__(self, quick: int) -> None:
        self.quick = quick
        self.asked: list[int] = []

    async def batch(self, requests: Sequence[Request], *, timeout_s: float) -> list[Reply]:
        query: Any = requests[1].params[0]
        self.asked.append(int(query["toBlock"], 16) - int(query["fromBlock"], 16) + 1)
        if self.asked[-1] > self.quick:
            raise SlowError(f"node: expected a reply within {timeout_s:g} s, found none")
        return [msgspec.Raw(b'"0xf4240"'), msgspec.Raw(b"[]")]


async def test_a_range_that_takes_too_long_is_asked_for_in_parts() -> None:
    node: Any = Searching(70_000)
    ranges = LogRanges(Rpc(node, clock=InstantClock(), policy=RetryPolicy(budget_s=0.0)))
    await ranges.read(WANTED, 0, 1_000_000)
    assert node.asked[0] == 1_000_000
    assert len(node.asked) < 60
    assert 35_000 < ranges.span <= 70_000


class Dense(Searching):
    """A node whose logs of more than so many blocks are more than is read of one reply."""

    async def batch(self, requests: Sequence[Request], *, timeout_s: float) -> list[Reply]:
        try:
            return await super().batch(requests, timeout_s=timeout_s)
        except SlowError as error:
            raise OversizedError("node: expected a shorter reply") from error


async def test_a_range_whose_logs_are_too_many_to_be_read_is_asked_for_in_parts() -> None:
    """And each but once: it is as long the next time."""
    node: Any = Dense(3)
    ranges = LogRanges(Rpc(node, clock=InstantClock()))
    await ranges.read(WANTED, 0, 20)
    assert node.asked == [21, 5, *[1] * 21]


async def test_a_node_that_answers_nothing_in_time_is_given_up() -> None:
    node: Any = Searching(0)
    ranges = LogRanges(Rpc(node, clock=InstantClock(), policy=RetryPolicy(budget_s=0.0)))
    with pytest.raises(SlowError):
        await ranges.read(WANTED, 0, 1_000_000)
    assert len(node.asked) < 10
    node.asked.clear()
    with pytest.raises(SlowError):
        await ranges.read(WANTED, 0, 500)
    assert len(node.asked) == 1


async def test_a_node_that_refuses_even_one_block_is_a_refusal() -> None:
    async with long_chain() as node:
        node.answers["eth_getLogs"] = limited(0, 0, lambda _: "too many results")
        with pytest.raises(NodeRefusedError, match="too many results"):
            await read(node, 0, 3)


def receipts(*logs: dict[str, Any]) -> Callable[[list[Any]], Any]:
    """Answer with two receipts of which the second has the logs."""
    return lambda _: [{"logs": []}, {"status": "0x1", "logs": list(logs)}]


def crowded(block: int) -> Callable[[list[Any]], Any]:
    """Answer like a node with one log a block but for one, of which it has too many to tell."""

    def answer(params: list[Any]) -> Any:
        first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
        if first <= block <= last:
            return Refusal(code=-32005, message="query returned more than 10000 results")
        return [log(number) for number in range(first, last + 1)]

    return answer


async def test_more_logs_of_a_block_than_a_node_tells_are_taken_from_its_receipts() -> None:
    others = {"address": block_hash(0)[:42]}, {"topics": []}, {"topics": [block_hash(0)]}
    logs = [log(7, 0), *(log(7, 1 + n) | other for n, other in enumerate(others)), log(7, 4)]
    async with long_chain() as node:
        node.answers[GET_LOGS] = crowded(7)
        node.answers["eth_getBlockReceipts"] = receipts(*logs)
        found, ranges = await read(node, 0, 9)
        assert found == [0, 1, 2, 3, 4, 5, 6, 7, 7, 8, 9]
        columns = await columns_at(node, ranges)
        assert len(columns) == len(found)
    asked = [params for method, params in node.asked if method == "eth_getBlockReceipts"]
    assert asked == [["0x7"]] * 2


@pytest.mark.parametrize("told", [None, Refusal(code=-32601, message="no such method")])
async def test_where_there_are_no_receipts_either_the_refusal_stands(told: object) -> None:
    async with long_chain() as node:
        node.answers[GET_LOGS] = crowded(7)
        node.answers["eth_getBlockReceipts"] = lambda _: told
        with pytest.raises(NodeRefusedError, match="query returned more than 10000 results"):
            await read(node, 0, 9)


async def test_progress_is_told_after_each_range() -> None:
    told: list[tuple[int, int, int]] = []
    async with long_chain() as node, aiohttp.ClientSession() as session:
        node.answers["eth_getLogs"] = limited(NO_SUCH_LIMIT, NO_SUCH_LIMIT, str)
        transport = HttpTransport(parse_endpoint(node.url), session, now=lambda: 0.0)
        ranges = LogRanges(Rpc(transport, clock=InstantClock()), widest=10)
        await ranges.read(WANTED, 5, 29, lambda *at: told.append(at))
    assert told == [(14, 29, 10), (24, 29, 20), (29, 29, 25)]


async def test_logs_are_sorted_once_each_and_without_removed_ones() -> None:
    async with long_chain() as node:
        node.answers["eth_getLogs"] = lambda _: [
            log(7, 1), log(6, 2), log(7, 0), log(7, 1), log(8, 0, removed=True),
        ]  # fmt: skip
        found, _ = await read(node, 0, 9)
    assert found == [6, 7, 7]


async def test_a_node_that_has_not_come_so_far_is_not_believed_to_have_no_logs() -> None:
    async with long_chain() as node:
        node.answers["eth_getLogs"] = limited(NO_SUCH_LIMIT, NO_SUCH_LIMIT, str)
        with pytest.raises(StaleError, match="expected block 10001, found 10000 the newest"):
            await read(node, 0, 10_001)
