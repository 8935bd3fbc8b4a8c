"""Receipts and counts are told by so many nodes, or not believed: one that lies changes nothing."""

from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.core.errors import StaleError
from keeper.executor.lanes.lane import Refused, Taken, Uncertain
from keeper.executor.lanes.mempool import MempoolLane
from tests.support.fake_node import Refusal, Stall
from tests.support.three_nodes import TX, WHO, Three, three_nodes


@pytest.fixture
async def three() -> AsyncIterator[Three]:
    async with three_nodes() as made:
        yield made


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


async def test_who_is_behind_is_told_by_a_quorum_and_not_by_one_that_claims_to_be_ahead(
    three: Three,
) -> None:
    async with three.opened() as chain:
        assert chain.pool is not None
        for ahead, fit in ((three.chains[2], 3), (three.chains[1], 2)):
            for number in range(11, 31):
                ahead.add(number)
            await chain.pool.look()
            await chain.pool.look()
            assert len(chain.pool.fit()) == fit
        assert chain.nodes()[0].trouble == "20 blocks behind block 30"
