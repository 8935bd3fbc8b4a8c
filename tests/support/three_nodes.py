"""Three nodes that are asked for a quorum, of which the first may lie."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from keeper.chain.data_fees import Rollup
from keeper.chain.rpc import RetryPolicy
from keeper.chain.session import Chain, ChainOptions, open_chain
from keeper.core.units import ZERO_ADDRESS, Hash32, address
from tests.support.fake_chain import FakeChainNode
from tests.support.fake_node import FakeNode, fake_node
from tests.support.instant_clock import NEVER_S, InstantClock, SteadyClock

WHO = address("0x" + "fe" * 20)
TX = Hash32("0x" + "7c" * 32)


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
    async def opened(
        self, of: int = 3, quorum: int = 2, rollup: Rollup | None = None
    ) -> AsyncIterator[Chain]:
        options = ChainOptions(
            chain_id=1,
            multicall3=ZERO_ADDRESS,
            retry=RetryPolicy(timeout_s=30.0, budget_s=0.0),
            watch_s=NEVER_S,
            patience_s=0.3,
            quorum=quorum,
            rollup=rollup,
        )
        urls = [one.url for one in self.nodes[:of]]
        async with open_chain(urls, options, clock=self.clock) as chain:
            yield chain


@asynccontextmanager
async def three_nodes(count: int = 3) -> AsyncIterator[Three]:
    """Serve the three, or as many as are wanted, each with a few blocks."""
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(fake_node()) for _ in range(count)]
        yield Three(nodes=nodes, chains=[FakeChainNode(one, first=5, last=10) for one in nodes])
