"""What money rests on is told by so many nodes, or not believed: one that lies changes nothing."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.chain.agreed import require_agreed
from keeper.chain.quorum import TRIES
from keeper.chain.rpc import RetryPolicy
from keeper.chain.session import Chain, ChainOptions, open_chain
from keeper.core.chain import BlockRef, Call, Transaction
from keeper.core.errors import StaleError
from keeper.core.units import ZERO_ADDRESS, Hash32, address
from keeper.core.values import replace
from keeper.executor.lanes.lane import Refused, Taken, Uncertain
from keeper.executor.lanes.mempool import MempoolLane
from tests.support.fake_chain import FakeChainNode
from tests.support.fake_node import FakeNode, Refusal, Stall, fake_node
from tests.support.instant_clock import NEVER_S, InstantClock, SteadyClock

WHO = address("0x" + "fe" * 20)
TX = Hash32("0x" + "7c" * 32)
UNKNOWN = Refusal(code=-32000, message="header not found")


@dataclass(slots=True)
class Three:
    """Three nodes of one chain that say the same, until a test has the first say otherwise."""

    nodes: list[FakeNode]
    chains: list[FakeChainNode]
    clock: InstantClock = field(default_factory=SteadyClock)

    @property
    def liar(self) -> FakeNode:
        return self.nodes[0]

    def answer(self, method: str, told: Callable[[list[Any]], Any]) -> None:
        for one in self.nodes:
            one.answers[method] = told

    @asynccontextmanager
    async def opened(self, of: int = 3, quorum: int = 2) -> AsyncIterator[Chain]:
        options = ChainOptions(
            chain_id=1,
            multicall3=ZERO_ADDRESS,
            retry=RetryPolicy(timeout_s=30.0, budget_s=0.0),
            watch_s=NEVER_S,
            patience_s=0.3,
            quorum=quorum,
        )
        urls = [one.url for one in self.nodes[:of]]
        async with open_chain(urls, options, clock=self.clock) as chain:
            yield chain


@pytest.fixture
async def three() -> AsyncIterator[Three]:
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(fake_node()) for _ in range(3)]
        yield Three(nodes=nodes, chains=[FakeChainNode(one, first=5, last=10) for one in nodes])


def receipt(number: int = 10, *, gas: int = 400_000, status: str = "0x1") -> dict[str, Any]:
    return {
        "transactionHash": TX,
        "blockNumber": hex(number),
        "blockHash": "0x" + "b0" * 32,
        "transactionIndex": "0x0",
        "gasUsed": hex(gas),
        "effectiveGasPrice": hex(10**9),
        "status": status,
        "logs": [],
    }


LIES = {
    "a cost that was less": receipt(gas=21_000),
    "a success that was a revert": receipt(status="0x1"),
    "nothing": None,
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_false_receipt_is_outvoted(three: Three, lie: str) -> None:
    three.answer("eth_getTransactionReceipt", lambda _: receipt(status="0x0"))
    three.liar.answers["eth_getTransactionReceipt"] = lambda _: LIES[lie]
    async with three.opened() as chain:
        found = await chain.wire.receipt(TX)
    assert found is not None
    assert (found.success, found.gas_used) == (False, 400_000)


async def test_a_receipt_that_one_node_makes_up_is_none(three: Three) -> None:
    three.answer("eth_getTransactionReceipt", lambda _: None)
    three.liar.answers["eth_getTransactionReceipt"] = lambda _: receipt()
    async with three.opened() as chain:
        assert await chain.wire.receipt(TX) is None


async def test_a_receipt_that_two_nodes_tell_otherwise_is_not_known(three: Three) -> None:
    three.answer("eth_getTransactionReceipt", lambda _: receipt())
    three.liar.answers["eth_getTransactionReceipt"] = lambda _: receipt(gas=21_000)
    async with three.opened(of=2) as chain:
        with pytest.raises(StaleError, match=f"2 nodes to agree on the receipt of {TX}"):
            await chain.wire.receipt(TX)
    asked = three.nodes[1].methods().count("eth_getTransactionReceipt")
    assert asked == 1


async def test_a_node_that_is_a_moment_behind_is_asked_again(three: Three) -> None:
    later = iter([UNKNOWN, UNKNOWN, "0x5"])
    three.answer("eth_getBalance", lambda _: "0x5")
    three.liar.answers["eth_getBalance"] = lambda _: next(later)
    async with three.opened(of=2) as chain:
        assert await chain.agreed.balance(WHO, await chain.reader.head()) == 5


async def test_a_node_that_stays_behind_is_not_waited_for_for_ever(three: Three) -> None:
    three.answer("eth_getBalance", lambda _: "0x5")
    three.liar.answers["eth_getBalance"] = lambda _: UNKNOWN
    async with three.opened(of=2) as chain:
        with pytest.raises(StaleError, match="header not found"):
            await chain.agreed.balance(WHO, await chain.reader.head())
    assert three.nodes[1].methods().count("eth_getBalance") == TRIES


def always(told: str) -> Callable[[list[Any]], str]:
    return lambda _: told


COUNTS = {
    "one that claims more": ([1_000, 7, 7], 7),
    "one that claims less": ([0, 7, 7], 7),
    "one that is behind": ([7, 6, 7], 7),
    "all apart": ([9, 7, 8], 8),
}


@pytest.mark.parametrize("pending", [False, True])
@pytest.mark.parametrize("case", COUNTS)
async def test_a_nonce_is_what_two_of_three_have_come_to(
    three: Three, case: str, *, pending: bool
) -> None:
    told, agreed = COUNTS[case]
    for node, count in zip(three.nodes, told, strict=True):
        node.answers["eth_getTransactionCount"] = always(hex(count))
    async with three.opened() as chain:
        assert await chain.wire.nonce(WHO, pending=pending) == agreed


async def test_of_two_nodes_none_can_raise_a_nonce(three: Three) -> None:
    three.answer("eth_getTransactionCount", lambda _: "0x7")
    three.liar.answers["eth_getTransactionCount"] = lambda _: "0x3e8"
    async with three.opened(of=2) as chain:
        assert await chain.wire.nonce(WHO, pending=False) == 7


async def test_a_transaction_that_any_node_holds_may_still_land(three: Three) -> None:
    three.answer("eth_getTransactionByHash", lambda _: None)
    async with three.opened() as chain:
        assert not await chain.wire.knows(TX)
        three.nodes[2].answers["eth_getTransactionByHash"] = lambda _: {"hash": TX}
        assert await chain.wire.knows(TX)


async def test_that_no_node_holds_it_is_no_word_of_one_alone(three: Three) -> None:
    three.answer("eth_getTransactionByHash", lambda _: None)
    for one in three.nodes[1:]:
        one.answers["eth_getTransactionByHash"] = lambda _: Refusal(code=-32000, message="no index")
    async with three.opened() as chain:
        with pytest.raises(StaleError, match="quorum: expected 2 nodes"):
            await chain.wire.knows(TX)


async def test_a_refusal_that_may_be_ours_is_open_while_nodes_do_not_say(three: Three) -> None:
    raw = b"\x02" + bytes(40)
    three.answer("eth_sendRawTransaction", lambda _: Refusal(code=-32000, message="already known"))
    three.answer("eth_getTransactionByHash", lambda _: None)
    submission: Any = SimpleNamespace(raw=raw)
    async with three.opened() as chain:
        lane = MempoolLane(chain.wire)
        assert isinstance((await lane.send([submission]))[0], Refused)
        three.nodes[2].answers["eth_getTransactionByHash"] = lambda _: {"hash": TX}
        assert isinstance((await lane.send([submission]))[0], Taken)
        for one in three.nodes[1:]:
            one.answers["eth_getTransactionByHash"] = lambda _: Refusal(code=-32000, message="no")
        found = await lane.send([submission, submission])
        assert [type(one) for one in found] == [Uncertain, Uncertain]


async def test_a_node_that_stalls_holds_up_no_count_for_longer_than_the_patience(
    three: Three,
) -> None:
    three.answer("eth_getTransactionCount", lambda _: "0x7")
    async with three.opened() as chain:
        three.liar.faults.append(Stall())
        assert await chain.wire.nonce(WHO, pending=True) == 7


READS: dict[str, tuple[str, Any, Any, Callable[[Chain, BlockRef], Any], Any]] = {
    "a balance": (
        "eth_getBalance", "0x5", "0xffffffffffffffffffff",
        lambda chain, head: chain.agreed.balance(WHO, head), 5,
    ),
    "a count at a block": (
        "eth_getTransactionCount", "0x5", "0x9",
        lambda chain, head: chain.agreed.nonce(WHO, head), 5,
    ),
    "code": (
        "eth_getCode", "0x60", "0x61", lambda chain, head: chain.agreed.code(WHO, head), b"\x60",
    ),
    "a word of storage": (
        "eth_getStorageAt", "0x5", "0x9", lambda chain, head: chain.agreed.storage(WHO, 1, head), 5,
    ),
    "what data costs": (
        "eth_call", "0x05", "0x00",
        lambda chain, head: chain.agreed.call_many([Call(to=WHO, data=b"")], head), None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", READS)
async def test_state_that_one_node_makes_up_is_outvoted(three: Three, what: str) -> None:
    method, truth, lie, read, expected = READS[what]
    three.answer(method, lambda _: truth)
    three.liar.answers[method] = lambda _: lie
    async with three.opened() as chain:
        found = await read(chain, await chain.reader.head())
    if expected is None:
        (found,) = found
        found, expected = found.data, b"\x05"
    assert found == expected


async def test_a_reorg_that_one_node_hides_is_seen(three: Three) -> None:
    async with three.opened() as chain:
        before = await chain.agreed.block(10)
        for one in three.chains[1:]:
            one.add(10, fork="b", parent_fork="a")
        assert (await chain.reader.block(10)).hash == before.hash
        assert (await chain.agreed.block(10)).hash != before.hash


async def test_a_head_that_one_node_makes_up_settles_nothing(three: Three) -> None:
    async with three.opened() as chain:
        head = await chain.reader.head()
        await require_agreed(chain.agreed, head)
        for wrong in (replace(head, timestamp=1), replace(head, number=10**9)):
            with pytest.raises(StaleError, match=f"block {wrong.number}"):
                await require_agreed(chain.agreed, wrong)


async def test_without_a_quorum_a_head_is_believed_and_nothing_is_asked(three: Three) -> None:
    async with three.opened(quorum=1) as chain:
        head = await chain.reader.head()
        asked = [len(one.asked) for one in three.nodes]
        await require_agreed(chain.agreed, replace(head, number=10**9))
        assert [len(one.asked) for one in three.nodes] == asked


def simulated(gas: int) -> Any:
    return [{"calls": [{"status": "0x1", "gasUsed": hex(gas), "returnData": "0x", "logs": []}]}]


async def rehearsed(chain: Chain, base: BlockRef) -> int:
    (one,) = await chain.simulator.simulate(
        [Transaction(sender=WHO, to=WHO, data=b"")],
        base=base,
        timestamp=base.timestamp + 12,
        base_fee=1,
        overrides={},
    )
    return one.gas_used


FIELDS = {
    "base_fee": 1,
    "gas_used": 1,
    "gas_limit": 10**9,
    "timestamp": 2**40,
    "number": 9,
    "parent_hash": TX,
}


@pytest.mark.parametrize("name", FIELDS)
async def test_a_head_that_others_tell_otherwise_is_nothing_to_rehearse_on(
    three: Three, name: str
) -> None:
    three.answer("eth_simulateV1", lambda _: simulated(21_000))
    async with three.opened() as chain:
        head = await chain.reader.head()
        assert await rehearsed(chain, head) == 21_000
        changed: Any = {name: FIELDS[name]}
        with pytest.raises(StaleError, match="quorum: expected 2 nodes to agree on what runs"):
            await rehearsed(chain, replace(head, **changed))


async def test_a_node_that_stalls_holds_up_no_quorum_of_the_others(three: Three) -> None:
    three.answer("eth_simulateV1", lambda _: simulated(21_000))
    async with three.opened() as chain:
        head = await chain.reader.head()
        three.liar.faults.extend([Stall()] * 4)
        assert await rehearsed(chain, head) == 21_000


async def test_without_a_quorum_one_node_is_asked(three: Three) -> None:
    three.answer("eth_getBalance", lambda _: "0x5")
    async with three.opened(quorum=1) as chain:
        await chain.agreed.balance(WHO, await chain.reader.head())
    assert [one.methods().count("eth_getBalance") for one in three.nodes] == [1, 0, 0]


async def test_a_node_that_breaks_when_enough_was_heard_is_not_complained_of(three: Three) -> None:
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))

    async def ask(node: Any) -> int:
        if node is first:
            raise RuntimeError("Session is closed")
        return 7

    async with three.opened() as chain:
        reader: Any = chain.agreed
        quorum = reader._quorum
        first = quorum.fit()[0]
        for _ in range(20):  # who is heard first is left to chance
            voices = quorum._voices(ask)
            with suppress(RuntimeError):
                await anext(voices)
            await voices.aclose()
            gc.collect()
    assert complaints == []
