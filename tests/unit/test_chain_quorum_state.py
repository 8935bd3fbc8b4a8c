"""State, heads and rehearsals are told by so many nodes, or nothing rests on them."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from keeper.chain.agreed import require_agreed
from keeper.chain.data_fees import Rollup
from keeper.chain.quorum import TRIES
from keeper.chain.session import Chain
from keeper.core.chain import BaseFeeRule, BlockRef, Call, Transaction
from keeper.core.errors import StaleError
from keeper.core.values import replace
from tests.support.fake_node import Refusal, Stall
from tests.support.three_nodes import TX, WHO, Three, three_nodes

UNKNOWN = Refusal(code=-32000, message="header not found")


@pytest.fixture
async def three() -> AsyncIterator[Three]:
    async with three_nodes() as made:
        yield made


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


LIES: dict[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "base_fee: expected 1000000000, found 1": lambda block: block | {"baseFeePerGas": "0x1"},
    "timestamp": lambda block: block | {"timestamp": hex(int(block["timestamp"], 16) + 9_999)},
    "hash": lambda block: block | {"hash": "0x" + block["hash"][2:].replace("6", "7")},
}


@pytest.mark.parametrize("lie", LIES)
async def test_the_active_node_is_left_when_most_tell_its_blocks_otherwise(
    three: Three, lie: str
) -> None:
    truth = three.liar.answers["eth_getBlockByNumber"]
    three.liar.answers["eth_getBlockByNumber"] = lambda params: LIES[lie](truth(params))
    async with three.opened() as chain:
        assert chain.pool is not None
        assert [one.is_active for one in chain.nodes()] == [False, True, False]
        assert lie in chain.nodes()[0].trouble
        assert len(chain.pool.fit()) == 2
        head = await chain.reader.head()
        await require_agreed(chain.agreed, head)

        three.liar.answers["eth_getBlockByNumber"] = truth
        for number in (11, 12):
            for one in three.chains:
                one.add(number)
            await chain.pool.look()
        assert len(chain.pool.fit()) == 3


async def test_a_rollups_node_that_makes_up_how_its_fee_goes_on_is_left(three: Three) -> None:
    """Holocene's denominator is in the header's extra data: at 1 the next fee may be nothing."""

    def told(params: list[Any], truth: Callable[[list[Any]], Any], denominator: int) -> Any:
        return truth(params) | {"extraData": f"0x00{denominator:08x}00000006"}

    for node, denominator in zip(three.nodes, (1, 250, 250), strict=True):
        truth = node.answers["eth_getBlockByNumber"]
        node.answers["eth_getBlockByNumber"] = partial(told, truth=truth, denominator=denominator)
    async with three.opened(rollup=Rollup.OP_STACK) as chain:
        assert [one.is_active for one in chain.nodes()] == [False, True, False]
        assert "base_fee_rule" in chain.nodes()[0].trouble


async def test_two_of_two_that_differ_leave_the_first_in_charge(three: Three) -> None:
    truth = three.liar.answers["eth_getBlockByNumber"]
    three.liar.answers["eth_getBlockByNumber"] = lambda params: truth(params) | {"timestamp": "0x1"}
    async with three.opened(of=2) as chain:
        assert chain.pool is not None
        await chain.pool.look()
        assert [one.is_active for one in chain.nodes()] == [True, False]
        with pytest.raises(StaleError, match="quorum: expected 2 nodes to agree"):
            await require_agreed(chain.agreed, await chain.reader.head())


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
    "base_fee_rule": BaseFeeRule(denominator=1),
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
