"""Reads are retried within a budget, sends never; each error becomes the class of its remedy."""

from collections import deque
from collections.abc import Sequence

import msgspec
import pytest

from keeper.chain.classify import Meaning, error_bytes, meaning
from keeper.chain.errors import NodeRefusedError, RateLimitedError
from keeper.chain.jsonrpc import NodeError, Reply, Request
from keeper.chain.records import decode_log
from keeper.chain.rpc import RetryPolicy, Rpc
from keeper.core.errors import StaleError, TransientError
from tests.support.fake_chain import log_record
from tests.support.instant_clock import InstantClock

OK = msgspec.Raw(b'"0x1"')
POLICY = RetryPolicy(timeout_s=1.0, budget_s=10.0, first_wait_s=1.0, longest_wait_s=4.0)


class Script:
    """A transport that answers with what is next in the script."""

    name = "node"

    def __init__(self, *script: Reply | Exception) -> None:
        self.script = deque(script)
        self.requests: list[Request] = []

    async def request(self, request: Request, *, timeout_s: float) -> Reply:  # noqa: ARG002 - the port's
        self.requests.append(request)
        found = self.script.popleft() if len(self.script) > 1 else self.script[0]
        if isinstance(found, Exception):
            raise found
        return found

    async def batch(self, requests: Sequence[Request], *, timeout_s: float) -> list[Reply]:
        return [await self.request(request, timeout_s=timeout_s) for request in requests]

    async def close(self) -> None: ...


def rpc_over(script: Script, clock: InstantClock) -> Rpc:
    return Rpc(script, clock=clock, policy=POLICY, jitter=lambda: 1.0)


async def test_a_read_outlives_passing_trouble() -> None:
    script, clock = Script(TransientError("a"), TransientError("b"), OK), InstantClock()
    assert await rpc_over(script, clock).read(str, "eth_chainId") == "0x1"
    assert clock.slept == [1.0, 2.0]


async def test_waits_double_up_to_the_longest_and_end_with_the_budget() -> None:
    script, clock = Script(TransientError("down")), InstantClock()
    with pytest.raises(TransientError, match="down"):
        await rpc_over(script, clock).read(str, "eth_chainId")
    assert clock.slept == [1.0, 2.0, 4.0]
    assert len(script.requests) == 4


async def test_a_result_that_is_not_utf_8_is_trouble_of_the_node() -> None:
    script = Script(msgspec.Raw(b'"\xff"'))
    with pytest.raises(TransientError, match="expected the result of the specification"):
        await rpc_over(script, InstantClock()).read(str, "eth_chainId", budget_s=0.0)
    with pytest.raises(TransientError, match="expected a log"):
        decode_log(msgspec.Raw(b'{"address":"\xff"}'))


@pytest.mark.parametrize("topic", ["0x" + "zz" * 32, "0x12", "0x" + " " * 64, "0x" + "12" * 33, ""])
def test_a_log_whose_topic_is_no_word_is_trouble_of_the_node(topic: str) -> None:
    """Whoever decodes events takes a topic for thirty-two bytes."""
    record = log_record(7, address="0x" + "fe" * 20)
    assert decode_log(msgspec.Raw(msgspec.json.encode(record))).topics == tuple(record["topics"])
    record["topics"].append(topic)
    with pytest.raises(TransientError, match="expected a log in hex, found one where"):
        decode_log(msgspec.Raw(msgspec.json.encode(record)))


@pytest.mark.parametrize("emitter", ["0x" + "zz" * 20, "0x12", "0x" + " " * 40, "0x" + "12" * 32])
def test_a_log_whose_emitter_is_no_address_is_trouble_of_the_node(emitter: str) -> None:
    """Whoever looks for it in a header's filter takes it for twenty bytes."""
    record = log_record(7, address=emitter)
    with pytest.raises(TransientError, match="expected a log in hex, found one where"):
        decode_log(msgspec.Raw(msgspec.json.encode(record)))


async def test_the_budget_is_an_argument() -> None:
    script, clock = Script(TransientError("down")), InstantClock()
    with pytest.raises(TransientError):
        await rpc_over(script, clock).ask("eth_chainId", budget_s=0.0)
    assert clock.slept == []


async def test_jitter_shortens_the_waits() -> None:
    script, clock = Script(TransientError("a"), OK), InstantClock()
    rpc = Rpc(script, clock=clock, policy=POLICY, jitter=lambda: 0.25)
    await rpc.ask("eth_chainId")
    assert clock.slept == [0.25]


async def test_retry_after_is_obeyed() -> None:
    script, clock = Script(RateLimitedError("slow down", 7.0), OK), InstantClock()
    await rpc_over(script, clock).ask("eth_chainId")
    assert clock.slept[0] >= 7.0


async def test_a_retry_after_beyond_the_budget_gives_up_at_once() -> None:
    script, clock = Script(RateLimitedError("slow down", 60.0)), InstantClock()
    with pytest.raises(RateLimitedError):
        await rpc_over(script, clock).ask("eth_chainId")
    assert clock.slept == []


async def test_a_rate_limit_in_json_is_retried_after_the_time_it_names() -> None:
    limit = NodeError(code=-32005, message="limit", data={"rate": {"backoff_seconds": 3}})
    script, clock = Script(limit, OK), InstantClock()
    await rpc_over(script, clock).ask("eth_chainId")
    assert clock.slept[0] >= 3.0


@pytest.mark.parametrize("wish", [-1_000, 10**400])
async def test_a_wish_that_makes_no_sense_ends_with_the_budget(wish: float) -> None:
    limit = NodeError(code=-32005, message="limit", data={"retry_after": wish})
    script, clock = Script(*[limit] * 1_000, OK), InstantClock()
    with pytest.raises(RateLimitedError):
        await rpc_over(script, clock).ask("eth_chainId")
    assert all(seconds >= 0 for seconds in clock.slept)


async def test_a_refusal_is_not_retried() -> None:
    script, clock = Script(NodeError(code=-32601, message="Method not found")), InstantClock()
    with pytest.raises(
        NodeRefusedError, match=r"node: eth_x: .* error -32601: Method not"
    ) as found:
        await rpc_over(script, clock).read(str, "eth_x")
    assert (found.value.code, found.value.reason) == (-32601, "Method not found")
    assert len(script.requests) == 1


async def test_a_send_goes_out_once_whatever_happens() -> None:
    script, clock = Script(TransientError("timeout")), InstantClock()
    with pytest.raises(TransientError):
        await rpc_over(script, clock).send_once("eth_sendRawTransaction", "0x02")
    assert len(script.requests) == 1


async def test_a_batch_with_one_limited_request_is_asked_again() -> None:
    script, clock = Script(OK, NodeError(code=429, message="slow"), OK), InstantClock()
    replies = await rpc_over(script, clock).ask_many([Request(method="a"), Request(method="b")])
    assert replies == [OK, OK]
    assert [request.method for request in script.requests] == ["a", "b", "a", "b"]


async def test_a_result_of_another_shape_is_transient() -> None:
    script, clock = Script(msgspec.Raw(b"7")), InstantClock()
    with pytest.raises(TransientError, match="eth_chainId: expected the result"):
        await rpc_over(script, clock).read(str, "eth_chainId")


async def test_null_is_none_where_it_may_be() -> None:
    script, clock = Script(msgspec.Raw(b"null")), InstantClock()
    assert await rpc_over(script, clock).read_optional(str, "eth_x") is None


@pytest.mark.parametrize(
    "message",
    [
        "header not found",
        "unknown block",
        "Resource not found",
        "BlockOutOfRangeError: block height is 1 but requested was 9999",
        "missing trie node 0xabc (path )",
        "hash 0xabc is not currently canonical",
        "historical state 0xabc is not available",
        "No state available for block 23000000 (0xabc)",
        "State at block #23000000 is pruned",
        "old data not available due to pruning",
        "World state unavailable",
    ],
)
async def test_an_unknown_block_is_stale(message: str) -> None:
    script, clock = Script(NodeError(code=-32000, message=message)), InstantClock()
    with pytest.raises(StaleError, match="node: eth_call"):
        await rpc_over(script, clock).read(str, "eth_call")


@pytest.mark.parametrize(
    ("method", "code", "message", "expected"),
    [
        ("eth_call", 3, "execution reverted: custom error 0xdeadbeef", Meaning.FAILED),
        ("eth_call", 3, "execution reverted: rate limit", Meaning.FAILED),
        ("eth_call", -32000, "execution reverted: over capacity", Meaning.FAILED),
        ("eth_call", -32000, "out of gas", Meaning.FAILED),
        ("eth_call", -32015, "VM execution error. Reverted", Meaning.FAILED),
        ("eth_call", -32000, "EVM error InvalidJump", Meaning.FAILED),
        ("eth_call", -32015, "VM execution error.", Meaning.FAILED),
        ("eth_call", -32005, "daily request count exceeded", Meaning.LIMITED),
        ("eth_call", -32000, "Too Many Requests", Meaning.LIMITED),
        ("eth_call", -32000, "execution timeout", Meaning.BUSY),
        ("eth_getTransactionReceipt", -32603, "Internal error", Meaning.BUSY),
        ("eth_call", -32000, "upstream connect error", Meaning.BUSY),
        ("eth_call", -32602, "missing value for required argument 0", Meaning.REFUSED),
        ("eth_call", -32601, "the method eth_call does not exist", Meaning.REFUSED),
        ("eth_getLogs", -32005, "query returned more than 10000 results", Meaning.TOO_WIDE),
        ("eth_getLogs", -32000, "block range is too wide", Meaning.TOO_WIDE),
        ("eth_getLogs", -32602, "Log response size exceeded.", Meaning.TOO_WIDE),
        ("eth_getLogs", -32600, "eth_getLogs is limited to a 10,000 range", Meaning.TOO_WIDE),
        ("eth_getLogs", -32005, "rate limit", Meaning.LIMITED),
        ("eth_getLogs", -32000, "unknown block", Meaning.STALE),
    ],
)
def test_the_words_of_an_error_decide(
    method: str, code: int, message: str, expected: Meaning
) -> None:
    assert meaning(method, NodeError(code=code, message=message)) is expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("0xdeadbeef", b"\xde\xad\xbe\xef"),
        ("Reverted 0xdead", b"\xde\xad"),
        ({"data": "0xde"}, b"\xde"),
        (None, b""),
        ("not hex", b""),
    ],
)
def test_revert_data_is_found_where_clients_put_it(data: object, expected: bytes) -> None:
    assert error_bytes(NodeError(code=3, data=data)) == expected
