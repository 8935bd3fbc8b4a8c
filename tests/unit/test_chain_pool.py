"""Several nodes as one: who is asked, who takes over, and what is never asked twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from keeper.chain.errors import RateLimitedError
from keeper.chain.rpc import RetryPolicy
from keeper.chain.session import Chain, ChainOptions, open_chain
from keeper.chain.trouble import Report, Trouble
from keeper.core.chain import LogFilter, Transaction
from keeper.core.errors import ConfigError, StaleError, TransientError
from keeper.core.units import ZERO_ADDRESS, address
from tests.support.eventually import eventually
from tests.support.fake_chain import FakeChainNode
from tests.support.fake_node import HTML, FakeNode, Raw, Refusal, Stall, WrongId, fake_node
from tests.support.instant_clock import NEVER_S, InstantClock, SteadyClock

ONCE = RetryPolicy(timeout_s=30.0, budget_s=0.0)
FEED = address("0x" + "fe" * 20)
TOO_MANY = Raw(body="slow down", status=429, headers={"Retry-After": "7"})


@dataclass(slots=True)
class Nodes:
    """Two nodes of one chain, at first alike."""

    first: FakeNode
    second: FakeNode
    chains: tuple[FakeChainNode, FakeChainNode]
    clock: InstantClock = field(default_factory=SteadyClock)
    trouble: list[tuple[Trouble, str]] = field(default_factory=list)

    def told(self, trouble: Trouble) -> list[str]:
        return [detail for kind, detail in self.trouble if kind is trouble]

    def add(self, *numbers: int) -> None:
        for number in numbers:
            for chain in self.chains:
                chain.add(number)

    @asynccontextmanager
    async def opened(self, report: Report | None = None, **options: Any) -> AsyncIterator[Chain]:
        chosen = ChainOptions(
            chain_id=1,
            multicall3=ZERO_ADDRESS,
            retry=options.pop("retry", ONCE),
            watch_s=NEVER_S,
            patience_s=30.0,
            **options,
        )
        urls = [self.first.url, self.second.url]
        async with AsyncExitStack() as stack:
            yield await stack.enter_async_context(
                open_chain(
                    urls,
                    chosen,
                    clock=self.clock,
                    report=report or (lambda kind, said, _="": self.trouble.append((kind, said))),
                )
            )


@pytest.fixture
async def nodes() -> AsyncIterator[Nodes]:
    async with fake_node() as first, fake_node() as second:
        chains = (
            FakeChainNode(first, first=5, last=10),
            FakeChainNode(second, first=5, last=10),
        )
        yield Nodes(first=first, second=second, chains=chains)


async def test_the_first_node_is_asked_while_it_answers(nodes: Nodes) -> None:
    async with nodes.opened() as chain:
        nodes.second.asked.clear()
        assert (await chain.reader.head()).number == 10
    assert nodes.second.asked == []


@pytest.mark.parametrize("fault", [HTML, WrongId(), Raw(body="", status=502)])
async def test_a_read_goes_to_the_next_node(nodes: Nodes, fault: Any) -> None:
    async with nodes.opened() as chain:
        nodes.first.faults.append(fault)
        assert (await chain.reader.head()).number == 10
        assert chain.rpc.name == nodes.second.url
    assert nodes.told(Trouble.SWITCHED) == [
        f"from {nodes.first.url} to {nodes.second.url} (did not answer)"
    ]


async def test_the_health_of_each_node_is_told(nodes: Nodes) -> None:
    async with nodes.opened() as chain:
        assert [(one.name, one.is_active, one.block, one.trouble) for one in chain.nodes()] == [
            (nodes.first.url, True, 10, ""),
            (nodes.second.url, False, 10, ""),
        ]
        nodes.first.faults.append(HTML)
        await chain.reader.head()
        failed, taken = chain.nodes()
        assert (failed.is_active, failed.trouble) == (False, "did not answer")
        assert (taken.is_active, taken.trouble) == (True, "")


async def test_a_transaction_is_sent_to_one_node_once(nodes: Nodes) -> None:
    async with nodes.opened() as chain:
        nodes.first.faults.append(HTML)
        with pytest.raises(TransientError):
            await chain.wire.send_raw(b"\x01")
    sends = nodes.first.methods() + nodes.second.methods()
    assert sends.count("eth_sendRawTransaction") == 1


async def test_a_busy_node_is_left_alone_for_as_long_as_it_asks(nodes: Nodes) -> None:
    async with nodes.opened() as chain:
        nodes.first.faults.append(TOO_MANY)
        await chain.reader.head()
        nodes.first.asked.clear()
        nodes.second.faults.append(HTML)
        with pytest.raises(TransientError, match="found HTML"):
            await chain.reader.head()
        assert nodes.first.asked == []
        nodes.clock.time += 8
        nodes.second.faults.append(HTML)
        await chain.reader.head()
        assert nodes.first.methods() != []
    assert nodes.told(Trouble.LIMITED) == [f"{nodes.first.url}: no request for 7 s"]


@pytest.mark.parametrize("wish", ["86400", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_a_busy_node_is_asked_again_after_ten_minutes_whatever_it_asks(
    nodes: Nodes, wish: str
) -> None:
    async with nodes.opened() as chain:
        nodes.first.faults.append(replace(TOO_MANY, headers={"Retry-After": wish}))
        await chain.reader.head()
        nodes.first.asked.clear()
        nodes.clock.time += 601
        nodes.second.faults.append(HTML)
        await chain.reader.head()
        assert nodes.first.methods() != []
    assert nodes.told(Trouble.LIMITED) == [f"{nodes.first.url}: no request for 600 s"]


async def test_when_every_node_wants_peace_the_shortest_wish_is_obeyed(nodes: Nodes) -> None:
    async with nodes.opened() as chain:
        limited = Refusal(code=-32005, message="limit", data={"rate": {"backoff_seconds": 30}})
        nodes.first.faults.append(TOO_MANY)
        nodes.second.answers["eth_gasPrice"] = lambda _: limited
        with pytest.raises(RateLimitedError):
            await chain.rpc.read(str, "eth_gasPrice")
        with pytest.raises(RateLimitedError, match="found none") as found:
            await chain.reader.head()
        assert found.value.retry_after_s == 7


async def test_a_node_that_lags_is_not_asked_until_it_caught_up(nodes: Nodes) -> None:
    async with nodes.opened() as chain:
        for number in range(11, 31):
            nodes.chains[1].add(number)
        assert chain.pool is not None
        await chain.pool.look()
        await chain.pool.look()
        assert (await chain.reader.head()).number == 30
        assert nodes.told(Trouble.UNFIT) == [f"{nodes.first.url}: 20 blocks behind block 30"]
        for number in range(11, 31):
            nodes.chains[0].add(number)
        await chain.pool.look()
        assert nodes.told(Trouble.RESUMED) == [f"{nodes.first.url}: fit again"]
        assert chain.rpc.name == nodes.second.url
        nodes.clock.time += 31
        await chain.pool.look()
        assert chain.rpc.name == nodes.first.url


async def test_a_node_that_is_gone_for_five_minutes_is_told_and_so_is_that_it_is_back(
    nodes: Nodes,
) -> None:
    async with nodes.opened() as chain:
        assert chain.pool is not None
        for _ in range(4):
            nodes.second.faults.append(HTML)
            await chain.pool.look()
            nodes.clock.time += 150
        assert nodes.told(Trouble.GONE) == [
            f"{nodes.second.url}: expected a JSON-RPC reply, found HTML"
        ]
        assert nodes.told(Trouble.BACK) == []
        await chain.pool.look()
        await chain.pool.look()
        assert nodes.told(Trouble.BACK) == [f"{nodes.second.url}: may be asked"]


async def test_a_node_that_is_gone_for_less_is_not_told(nodes: Nodes) -> None:
    async with nodes.opened() as chain:
        assert chain.pool is not None
        nodes.second.faults.append(HTML)
        await chain.pool.look()
        nodes.clock.time += 299
        await chain.pool.look()
    assert nodes.told(Trouble.GONE) == nodes.told(Trouble.BACK) == []
    assert len(nodes.told(Trouble.UNFIT)) == 1


async def test_a_node_that_changes_its_chain_is_excluded_for_good(nodes: Nodes) -> None:
    async with nodes.opened() as chain:
        assert chain.pool is not None
        nodes.first.answers["eth_chainId"] = lambda _: "0x2"
        await chain.pool.look()
        assert await chain.wire.chain_id() == 1
        nodes.first.answers["eth_chainId"] = lambda _: "0x1"
        nodes.second.faults.extend([HTML] * 9)
        await chain.pool.look()
        with pytest.raises(TransientError, match="expected 1, found 2"):
            await chain.reader.head()
    assert len(nodes.told(Trouble.EXCLUDED)) == 1


async def test_the_chain_id_is_asked_again_before_a_node_takes_over(nodes: Nodes) -> None:
    async with nodes.opened() as chain:
        nodes.second.answers["eth_chainId"] = lambda _: "0x2"
        nodes.first.faults.append(HTML)
        with pytest.raises(TransientError, match="found HTML"):
            await chain.reader.head()
        assert chain.rpc.name == nodes.first.url
        # The first is still the only one, so it is asked although it has just failed.
        assert (await chain.reader.head()).number == 10
    assert nodes.told(Trouble.EXCLUDED) == [
        f"{nodes.second.url}: chain id: expected 1, found 2; it is not used again"
    ]


async def test_a_node_on_another_branch_does_not_take_over(nodes: Nodes) -> None:
    async with nodes.opened() as chain:
        nodes.chains[1].add(8, fork="b", parent_fork="a")
        for number in range(9, 13):
            nodes.chains[1].add(number, fork="b")
        nodes.first.faults.append(HTML)
        with pytest.raises(TransientError, match="found HTML"):
            await chain.reader.head()
        assert chain.rpc.name == nodes.first.url
    assert len(nodes.told(Trouble.UNFIT)) == 1
    assert "block 9: expected 0x" in nodes.told(Trouble.UNFIT)[0]


async def test_a_branch_of_one_block_is_no_reason_to_refuse_a_node(nodes: Nodes) -> None:
    async with nodes.opened() as chain:
        nodes.chains[1].add(10, fork="b", parent_fork="a")
        nodes.first.faults.append(HTML)
        assert (await chain.reader.head()).hash == nodes.chains[1].head["hash"]


async def test_a_dead_node_at_the_start_does_not_matter(nodes: Nodes) -> None:
    nodes.first.faults.extend([HTML] * 2)
    async with nodes.opened() as chain:
        assert chain.rpc.name == nodes.second.url


async def test_fewer_nodes_than_the_quorum_are_refused_at_the_start(nodes: Nodes) -> None:
    nodes.first.faults.extend([HTML] * 9)
    with pytest.raises(ConfigError, match="expected 2 nodes that are fit, found 1 of 2"):
        async with nodes.opened(quorum=2):
            pass


async def test_how_wide_ranges_may_be_is_remembered_for_each_node(nodes: Nodes) -> None:
    wanted = LogFilter(addresses=frozenset({FEED}), topics=frozenset())
    asked: list[int] = []

    def limited(params: list[Any]) -> Any:
        width = int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1
        asked.append(width)
        return Refusal(code=-32602, message="up to a 2 block range") if width > 2 else []

    nodes.first.answers["eth_getLogs"] = limited
    async with nodes.opened() as chain:
        await chain.reader.logs_between(wanted, 5, 10)
        assert asked == [6, 2, 2, 2]
        nodes.first.faults.append(HTML)
        nodes.second.asked.clear()
        await chain.reader.head()
        await chain.reader.logs_between(wanted, 5, 10)
        assert nodes.second.methods().count("eth_getLogs") == 1
        assert len(asked) == 4


def numbers_only(params: list[Any]) -> Any:
    """Answer a balance like a node that does not know blocks by their hash."""
    if isinstance(params[1], dict):
        return Refusal(code=-32602, message="invalid argument 1: hex string expected")
    return "0x7"


async def test_a_read_that_goes_to_a_node_that_cannot_pin_by_hash_is_pinned_by_number(
    nodes: Nodes,
) -> None:
    nodes.first.answers["eth_getBalance"] = lambda _: "0x7"
    nodes.second.answers["eth_getBalance"] = numbers_only
    async with nodes.opened() as chain:
        head = await chain.reader.head()
        assert await chain.reader.balance(FEED, head) == 7
        nodes.first.faults.append(HTML)
        assert await chain.reader.balance(FEED, head) == 7
        assert chain.rpc.name == nodes.second.url


async def test_what_a_node_can_is_not_learned_from_a_late_answer_of_another(nodes: Nodes) -> None:
    nodes.first.answers["eth_getBalance"] = lambda _: "0x7"
    nodes.second.answers["eth_getBalance"] = numbers_only
    async with nodes.opened() as chain:
        head = await chain.reader.head()
        nodes.first.faults.extend([Stall(), HTML])
        late = asyncio.ensure_future(chain.reader.balance(FEED, head))
        await eventually(lambda: "eth_getBalance" in nodes.first.methods())
        await chain.reader.head()
        assert chain.rpc.name == nodes.second.url
        nodes.first.release()
        assert await late == 7
        assert await chain.reader.balance(FEED, head) == 7


def simulated(gas: int) -> Any:
    call = {"status": "0x1", "gasUsed": hex(gas), "returnData": "0x", "logs": []}
    return [{"calls": [call]}]


async def rehearsed(chain: Chain) -> int:
    head = await chain.reader.head()
    (one,) = await chain.simulator.simulate(
        [Transaction(sender=FEED, to=FEED, data=b"")],
        base=head,
        timestamp=head.timestamp + 12,
        base_fee=1,
        overrides={},
    )
    return one.gas_used


async def test_a_rehearsal_that_the_quorum_tells_alike_counts(nodes: Nodes) -> None:
    for node in (nodes.first, nodes.second):
        node.answers["eth_simulateV1"] = lambda _: simulated(21_000)
    async with nodes.opened(quorum=2) as chain:
        assert await rehearsed(chain) == 21_000


async def test_a_rehearsal_that_nodes_tell_otherwise_stops_the_block(nodes: Nodes) -> None:
    nodes.first.answers["eth_simulateV1"] = lambda _: simulated(21_000)
    nodes.second.answers["eth_simulateV1"] = lambda _: simulated(22_000)
    async with nodes.opened(quorum=2) as chain:
        with pytest.raises(StaleError, match="quorum: expected 2 nodes to agree"):
            await rehearsed(chain)


async def test_a_node_that_does_not_know_the_block_has_no_voice(nodes: Nodes) -> None:
    nodes.first.answers["eth_simulateV1"] = lambda _: simulated(21_000)
    nodes.second.answers["eth_simulateV1"] = lambda _: Refusal(
        code=-32000, message="header not found"
    )
    async with nodes.opened(quorum=2) as chain:
        with pytest.raises(StaleError, match="header not found"):
            await rehearsed(chain)
