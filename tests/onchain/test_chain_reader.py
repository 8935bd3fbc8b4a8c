"""Reads of a real node over each transport: pinned, batched, one bad call alone."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from keeper.chain.anvil import Anvil, AnvilOptions, start_anvil
from keeper.chain.session import Chain, ChainOptions, open_chain
from keeper.core.chain import BlockRef, Call, CallResult, LogFilter
from keeper.core.errors import StaleError
from keeper.core.units import Address, Hash32, address
from keeper.devnet.multicall import MULTICALL3, multicall3_runtime
from tests.support.eventually import mined

CHAIN_ID = 31337
ADDER = address("0x" + "11" * 20)
"""Returns storage slot 0 plus the first word of the input."""
REVERTER = address("0x" + "22" * 20)
BOMB = address("0x" + "33" * 20)
"""Loops until its gas is gone."""
MOCKER = address("0x" + "66" * 20)
"""Reverts with ``Error("rate limit: try again, timeout")``, as a node would put somebody off."""
COUNTER = address("0x" + "44" * 20)
"""Adds one to slot 0, logs topic 1, and returns the sum."""
NOBODY = address("0x" + "55" * 20)

MOCKERY = (
    bytes.fromhex("08c379a0")
    + (32).to_bytes(32, "big")
    + (30).to_bytes(32, "big")
    + b"rate limit: try again, timeout".ljust(32, b"\0")
)
"""What it reverts with."""

CODES = {
    ADDER: "0x5f545f35015f5260205ff3",
    REVERTER: "0x63deadbeef5f526004601cfd",
    BOMB: "0x5b5f56",
    COUNTER: "0x5f54600101805f555f5260015f5fa160205ff3",
    MOCKER: "0x6064600c60003960646000fd" + MOCKERY.hex(),
}
ONE_TOPIC = Hash32("0x" + f"{1:064x}")


@pytest.fixture(scope="module")
def anvil(anvil_binary: Path) -> Iterator[Anvil]:
    with start_anvil(anvil_binary, AnvilOptions(ipc=True, chain_id=CHAIN_ID)) as node:
        yield node


@pytest.fixture(params=["http", "websocket", "ipc"])
async def chain(anvil: Anvil, request: pytest.FixtureRequest) -> AsyncIterator[Chain]:
    urls = {"http": anvil.http_url, "websocket": anvil.ws_url, "ipc": str(anvil.ipc_path)}
    options = ChainOptions(chain_id=CHAIN_ID, multicall3=MULTICALL3)
    async with open_chain(urls[request.param], options) as made:
        for target, code in {**CODES, MULTICALL3: multicall3_runtime()}.items():
            await tell(made, "anvil_setCode", target, code)
        await tell(made, "anvil_setStorageAt", ADDER, word(0), word(100))
        await mine(made)
        yield made


async def tell(chain: Chain, method: str, *params: object) -> object:
    return await chain.rpc.read(object, method, *params)


async def mine(chain: Chain) -> BlockRef:
    await tell(chain, "evm_mine")
    return await chain.reader.head()


async def bump(chain: Chain, times: int = 1) -> None:
    sender = (await chain.rpc.read(list[str], "eth_accounts"))[0]
    for _ in range(times):
        sent = await chain.rpc.read(Hash32, "eth_sendTransaction", {"from": sender, "to": COUNTER})
        await mined(chain.wire, sent)


def word(value: int) -> str:
    return f"0x{value:064x}"


def plus(value: int) -> Call:
    return Call(to=ADDER, data=value.to_bytes(32, "big"))


def returned(value: int) -> CallResult:
    return CallResult(success=True, data=value.to_bytes(32, "big"))


async def test_calls_in_many_chunks_come_back_in_order(chain: Chain) -> None:
    head = await chain.reader.head()
    found = await chain.reader.call_many([plus(i) for i in range(1_001)], head)
    assert found == [returned(100 + i) for i in range(1_001)]


async def test_a_revert_and_a_gas_bomb_fail_alone(chain: Chain) -> None:
    head = await chain.reader.head()
    calls = [plus(1), Call(to=REVERTER, data=b""), Call(to=BOMB, data=b""), plus(2)]
    calls += [Call(to=BOMB, data=b"", gas=100_000), Call(to=NOBODY, data=b""), plus(3)]
    found = await chain.reader.call_many(calls * 2, head)
    silent = CallResult(success=False, data=b"")
    assert found == 2 * [
        returned(101),
        CallResult(success=False, data=bytes.fromhex("deadbeef")),
        silent,
        returned(102),
        silent,
        CallResult(success=True, data=b""),
        returned(103),
    ]


async def test_a_contract_that_reverts_with_the_words_of_a_busy_node_fails_alone(
    chain: Chain,
) -> None:
    head = await chain.reader.head()
    for gas in (None, 100_000):
        calls = [plus(1), Call(to=MOCKER, data=b"", gas=gas), plus(2)]
        found = await chain.reader.call_many(calls, head)
        assert found == [returned(101), CallResult(success=False, data=MOCKERY), returned(102)]


async def test_a_read_sees_its_own_block_and_no_other(chain: Chain) -> None:
    await bump(chain)
    before = await chain.reader.head()
    await bump(chain)
    after = await chain.reader.head()
    count = await chain.reader.storage(COUNTER, 0, before)
    assert await chain.reader.storage(COUNTER, 0, after) == count + 1
    look = Call(to=COUNTER, data=b"")
    for calls in ([look], [look, look]):
        seen_before = await chain.reader.call_many(calls, before)
        seen_after = await chain.reader.call_many(calls, after)
        assert (seen_before[0], seen_after[0]) == (returned(count + 1), returned(count + 2))


async def test_a_block_that_a_reorg_replaced_is_stale(chain: Chain) -> None:
    await mine(chain)
    orphan = await mine(chain)
    await tell(chain, "anvil_reorg", 1, [])
    assert (await chain.reader.block(orphan.number)).hash != orphan.hash
    wanted = LogFilter(addresses=frozenset({COUNTER}), topics=frozenset())
    for reading in (
        chain.reader.call_many([plus(0), plus(1)], orphan),
        chain.reader.call_many([plus(0)], orphan),
        chain.reader.storage(ADDER, 0, orphan),
        chain.reader.balance(ADDER, orphan),
        chain.reader.code(ADDER, orphan),
        chain.reader.logs_at(wanted, orphan),
        chain.reader.block(orphan.number + 1_000),
    ):
        with pytest.raises(StaleError):
            await reading


async def test_without_multicall_the_calls_still_come_back(chain: Chain) -> None:
    await tell(chain, "anvil_setCode", MULTICALL3, "0x")
    head = await mine(chain)
    found = await chain.reader.call_many([plus(1), Call(to=REVERTER, data=b""), plus(2)], head)
    assert [result.success for result in found] == [True, False, True]


async def test_logs_of_a_block_and_of_a_range_agree(chain: Chain) -> None:
    first = (await chain.reader.head()).number + 1
    await bump(chain, 5)
    head = await chain.reader.head()
    wanted = LogFilter(addresses=frozenset({COUNTER, ADDER}), topics=frozenset({ONE_TOPIC}))
    logs = await chain.reader.logs_between(wanted, first, head.number)
    assert [log.block_number for log in logs] == list(range(first, head.number + 1))
    assert {log.topics for log in logs} == {(ONE_TOPIC,)}
    assert await chain.reader.logs_at(wanted, head) == logs[-1:]


async def test_other_topics_and_no_addresses_find_nothing(chain: Chain) -> None:
    await bump(chain)
    head = await chain.reader.head()
    counter: frozenset[Address] = frozenset({COUNTER})
    elsewhere = LogFilter(addresses=counter, topics=frozenset({Hash32("0x" + "02" * 32)}))
    assert await chain.reader.logs_at(elsewhere, head) == []
    nobody = LogFilter(addresses=frozenset(), topics=frozenset())
    assert await chain.reader.logs_between(nobody, 0, head.number) == []
    anything = LogFilter(addresses=counter, topics=frozenset())
    assert len(await chain.reader.logs_at(anything, head)) == 1


async def test_code_balance_and_headers_are_read(chain: Chain) -> None:
    head = await mine(chain)
    assert (await chain.reader.code(REVERTER, head)).hex() == CODES[REVERTER][2:]
    assert await chain.reader.code(NOBODY, head) == b""
    rich = address((await chain.rpc.read(list[str], "eth_accounts"))[1])
    assert await chain.reader.balance(rich, head) == 10_000 * 10**18
    parent = await chain.reader.block(head.number - 1)
    assert (head.parent_hash, head.number) == (parent.hash, parent.number + 1)
    assert await chain.reader.block_by_hash(parent.hash) == parent
