"""The market that faults befall, and proxies of its node."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
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
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(fault_proxy(market.anvil.http_url))
        second = await stack.enter_async_context(fault_proxy(market.anvil.http_url))
        yield first, second
