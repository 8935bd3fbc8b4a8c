"""Real Aave V3 on a local anvil, and the two ways in which bots usually look at its borrowers."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice

from web3 import HTTPProvider, Web3
from web3.contract import Contract

from keeper.app.sight import Sight
from keeper.chain.anvil import AnvilOptions, start_anvil
from keeper.chain.session import ChainOptions, open_chain
from keeper.core.chain import BlockRef
from keeper.core.units import Address
from keeper.devnet.build import build_market
from keeper.devnet.market import LocalMarket
from keeper.devnet.packages import ensure_anvil
from keeper.mirror.mirror import Mirror
from keeper.mirror.snapshot import Snapshot
from keeper.oracle.book import PriceBook
from keeper.oracle.watcher import PriceWatcher
from keeper.protocols.aave_v3.adapter import AaveAdapter
from keeper.protocols.aave_v3.parameters import Parameters
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition
from keeper.scanner.scan import Book, scan

_BLOCK_S = 12
_BATCH = 500
_POOL_ABI = [
    {
        "name": "getUserAccountData",
        "type": "function",
        "stateMutability": "view",
        "inputs": [{"name": "user", "type": "address"}],
        "outputs": [{"name": f"v{i}", "type": "uint256"} for i in range(6)],
    }
]
_CALL = {
    "type": "tuple[]",
    "name": "calls",
    "components": [
        {"name": "target", "type": "address"},
        {"name": "allowFailure", "type": "bool"},
        {"name": "callData", "type": "bytes"},
    ],
}
_RESULT = {
    "type": "tuple[]",
    "name": "results",
    "components": [{"name": "success", "type": "bool"}, {"name": "returnData", "type": "bytes"}],
}
_MULTICALL_ABI = [
    {
        "name": "aggregate3",
        "type": "function",
        "stateMutability": "payable",
        "inputs": [_CALL],
        "outputs": [_RESULT],
    }
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """What bots usually do, for any number of accounts: the market's, over and over."""

    pool: Contract
    multicall3: Contract
    accounts: tuple[Address, ...]

    def loop(self, many: int) -> int:
        """Ask for each account alone; return how many are under the line."""
        calls = (self.pool.functions.getUserAccountData(one) for one in self._accounts(many))
        return sum(call.call()[5] < 10**18 for call in calls)

    def multicall(self, many: int) -> int:
        """Ask in batches; return how many are under the line."""
        wanted = self._accounts(many)
        under = 0
        while batch := list(islice(wanted, _BATCH)):
            calls = [
                (self.pool.address, True, self.pool.encode_abi("getUserAccountData", [one]))
                for one in batch
            ]
            for _, data in self.multicall3.functions.aggregate3(calls).call():
                found = self.pool.w3.codec.decode(["uint256"] * 6, data)
                under += found[5] < 10**18
        return under

    def _accounts(self, many: int) -> Iterator[str]:
        return islice(cycle(map(Web3.to_checksum_address, self.accounts)), many)


@dataclass(slots=True)
class RealMarket:
    """A market that Keeper mirrors."""

    url: str
    market: LocalMarket
    adapter: AaveAdapter
    snapshot: Snapshot[AaveMarket, AavePosition]
    prices: PriceBook
    sight: Sight[AaveMarket, AavePosition]
    cold_start_s: float

    @property
    def loans(self) -> int:
        """Return how many accounts owe something."""
        return len(self.snapshot.positions)

    def look(self) -> None:
        """Look at every loan as the daemon does at each block."""
        self.sight.look(self.snapshot.block, self.snapshot, self.prices, "bench")

    def exact(self) -> None:
        """Decide on every loan in integers."""
        block = self.snapshot.block
        book = Book(
            block=block,
            market=self.snapshot.market,
            positions=self.snapshot.positions,
            prices=self.prices.prices,
            problems={},
        )
        number, timestamp = block.number + 1, block.timestamp + _BLOCK_S
        scan(self.adapter, book, number=number, timestamp=timestamp, trigger="bench")


@contextmanager
def real_market(borrowers: int) -> Iterator[RealMarket]:
    """Build a market on a node of its own and mirror it once, from its logs."""
    with start_anvil(ensure_anvil(), AnvilOptions(ipc=True)) as anvil:
        market = build_market(anvil.http_url, seed=1, borrowers=borrowers)
        yield asyncio.run(_mirrored(anvil.http_url, market))


def others_of(market: RealMarket) -> Others:
    """Return what bots do, against the same node."""
    web3 = Web3(HTTPProvider(market.url))
    return Others(
        pool=web3.eth.contract(Web3.to_checksum_address(market.market.pool), abi=_POOL_ABI),
        multicall3=web3.eth.contract(
            Web3.to_checksum_address(market.market.multicall3), abi=_MULTICALL_ABI
        ),
        accounts=tuple(ref.account for ref in market.snapshot.positions),
    )


async def _mirrored(url: str, market: LocalMarket) -> RealMarket:
    adapter = AaveAdapter(
        deployment="aave_v3.local",
        start_block=market.start_block,
        parameters=Parameters(addresses_provider=market.provider),
    )
    options = ChainOptions(chain_id=market.chain_id, multicall3=market.multicall3)
    async with open_chain(url, options) as chain:
        head: BlockRef = await chain.reader.head()
        mirror: Mirror[AaveMarket, AavePosition] = Mirror(adapter, chain.reader)
        sight: Sight[AaveMarket, AavePosition] = Sight(adapter, block_time_s=_BLOCK_S)
        watcher = PriceWatcher(chain.reader)
        started = time.perf_counter()
        snapshot = await mirror.start(head, None, lambda *_: None)
        sight.take(snapshot)
        await watcher.follow(adapter.feeds(snapshot.market), head)
        prices = await watcher.read(head, None)
        sight.look(head, snapshot, prices, "bench")
        await sight.refresh()
        took = time.perf_counter() - started
    return RealMarket(url, market, adapter, snapshot, prices, sight, took)
