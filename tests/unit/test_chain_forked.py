"""What a fork is asked alone, and what together."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest

from keeper.chain.endpoint import parse_endpoint
from keeper.chain.forked import ALONE, ForkTransport
from keeper.chain.jsonrpc import Reply, Request
from keeper.chain.session import ChainOptions, open_chain
from keeper.core.primed import Primed
from keeper.core.units import ZERO_ADDRESS
from keeper.core.values import replace
from tests.support.fake_node import fake_node

CALL = Request(method="eth_call")
BALANCE = Request(method="eth_getBalance")


@dataclass(slots=True)
class HeldNode:
    """A transport that answers when a test says so."""

    asked: list[str] = field(default_factory=list)
    """Methods in the order in which they came, a batch's joined."""
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return "held"

    async def request(self, request: Request, *, timeout_s: float) -> Reply:
        return (await self.batch([request], timeout_s=timeout_s))[0]

    def prime(self, request: Request) -> Primed[Reply] | None:
        raise AssertionError(request)

    async def batch(self, requests: Sequence[Request], *, timeout_s: float) -> list[Reply]:
        assert timeout_s > 0
        self.asked.append("+".join(one.method for one in requests))
        self.waiting.append(asyncio.get_running_loop().create_future())
        await self.waiting[-1]
        return [msgspec.Raw(b"1")] * len(requests)

    async def close(self) -> None:
        for one in self.waiting:
            one.cancel()


@dataclass(slots=True)
class Asker:
    """Asks a fork and looks at what has reached the node."""

    node: HeldNode = field(default_factory=HeldNode)
    tasks: list[asyncio.Task[list[Reply]]] = field(default_factory=list)
    fork: ForkTransport = field(init=False)

    def __post_init__(self) -> None:
        self.fork = ForkTransport(self.node)

    async def ask(self, *requests: Request) -> None:
        self.tasks.append(asyncio.create_task(self.fork.batch(requests, timeout_s=1.0)))
        await settle()

    async def answer(self, number: int) -> None:
        self.node.waiting[number].set_result(None)
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
async def asker() -> AsyncIterator[Asker]:
    made = Asker()
    yield made
    for one in made.tasks:
        one.cancel()
    await made.fork.close()
    await settle()


async def test_calls_are_asked_together(asker: Asker):
    await asker.ask(CALL)
    await asker.ask(CALL)
    assert asker.node.asked == ["eth_call", "eth_call"]


@pytest.mark.parametrize("method", sorted(ALONE))
async def test_the_state_of_an_account_waits_until_every_call_is_answered(
    asker: Asker, method: str
):
    await asker.ask(CALL)
    await asker.ask(CALL)
    await asker.ask(Request(method=method))
    await asker.answer(0)
    assert method not in asker.node.asked
    await asker.answer(1)
    assert asker.node.asked[-1] == method


async def test_nothing_else_is_asked_while_the_state_of_an_account_is(asker: Asker):
    await asker.ask(BALANCE, BALANCE)
    await asker.ask(CALL)
    await asker.ask(BALANCE)
    assert asker.node.asked == ["eth_getBalance+eth_getBalance"]
    await asker.answer(0)
    assert asker.node.asked[1:] == ["eth_call"]
    await asker.answer(1)
    assert asker.node.asked[2:] == ["eth_getBalance"]


async def test_a_later_call_does_not_overtake(asker: Asker):
    await asker.ask(CALL)
    await asker.ask(BALANCE)
    await asker.ask(CALL)
    assert asker.node.asked == ["eth_call"]
    await asker.answer(0)
    assert asker.node.asked[1:] == ["eth_getBalance"]


async def test_who_gives_up_leaves_the_node_at_it(asker: Asker):
    await asker.ask(CALL)
    asker.tasks[0].cancel()
    await asker.ask(BALANCE)
    assert asker.node.asked == ["eth_call"]
    await asker.answer(0)
    assert asker.node.asked[1:] == ["eth_getBalance"]


async def test_who_gives_up_waiting_lets_the_next_in(asker: Asker):
    await asker.ask(CALL)
    await asker.ask(BALANCE)
    await asker.ask(CALL)
    asker.tasks[1].cancel()
    await settle()
    assert asker.node.asked == ["eth_call", "eth_call"]


async def test_nothing_is_posted_past_the_turn(asker: Asker):
    assert asker.fork.prime(CALL) is None
    assert asker.node.asked == []


async def test_a_chain_asks_an_endpoint_that_forks_in_turns():
    options = ChainOptions(chain_id=1, multicall3=ZERO_ADDRESS)
    async with fake_node() as node:
        endpoint = parse_endpoint(node.url)
        for forks in (False, True):
            chosen = replace(endpoint, forks=forks)
            async with open_chain([chosen], options) as chain:
                assert isinstance(chain.rpc._transport, ForkTransport) is forks
