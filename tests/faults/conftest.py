"""The market that faults befall, and proxies of its node."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.market_node import MarketNode, built_market


@pytest.fixture(scope="session")
def fault_market(anvil_binary: Path) -> Iterator[MarketNode]:
    """No fork: a reorg of a forked anvil leaves later state behind."""
    with built_market(anvil_binary, seed=3, borrowers=60) as node:
        yield node


@pytest.fixture
def market(fault_market: MarketNode) -> Iterator[MarketNode]:
    """The market; what a test does to it is undone."""
    kept = fault_market.live.rpc.call("evm_snapshot")
    yield fault_market
    fault_market.live.rpc.call("anvil_dropAllTransactions")
    fault_market.live.rpc.call("evm_revert", kept)
    fault_market.live.rpc.call("evm_setAutomine", True)


@pytest.fixture
async def proxy(market: MarketNode) -> AsyncIterator[FaultProxy]:
    async with fault_proxy(market.anvil.http_url) as made:
        yield made


@pytest.fixture
async def proxies(market: MarketNode) -> AsyncIterator[tuple[FaultProxy, FaultProxy]]:
    """Two ways to one node."""
    async with _ways(market, 2) as (first, second):
        yield first, second


@pytest.fixture
async def three_proxies(market: MarketNode) -> AsyncIterator[list[FaultProxy]]:
    """Three ways to one node, the first of which is asked first."""
    async with _ways(market, 3) as found:
        yield found


@asynccontextmanager
async def _ways(market: MarketNode, count: int) -> AsyncIterator[list[FaultProxy]]:
    async with AsyncExitStack() as stack:
        url = market.anvil.http_url
        yield [await stack.enter_async_context(fault_proxy(url)) for _ in range(count)]
