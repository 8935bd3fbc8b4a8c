"""A local market on a node of its own."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from keeper.chain.anvil import Anvil, AnvilOptions, start_anvil
from keeper.devnet.build import BLOCK_INTERVAL_S, build_market
from keeper.devnet.live import LiveMarket, open_live
from keeper.devnet.market import LocalMarket
from keeper.devnet.releases import OLDEST


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketNode:
    """A running anvil, and the market on it."""

    anvil: Anvil
    live: LiveMarket

    @property
    def market(self) -> LocalMarket:
        return self.live.market


@contextmanager
def built_market(
    binary: Path, *, seed: int, borrowers: int, aave: str = OLDEST
) -> Iterator[MarketNode]:
    """Build a market on a fresh anvil."""
    with start_anvil(binary, AnvilOptions(ipc=True)) as anvil:
        market = build_market(anvil.http_url, seed=seed, borrowers=borrowers, aave=aave)
        live = open_live(market, anvil.http_url)
        with closing(live.rpc):
            yield MarketNode(anvil=anvil, live=live)


@contextmanager
def forked_market(binary: Path, base: MarketNode) -> Iterator[MarketNode]:
    """Fork a built market: what is done on the fork does not reach the base."""
    options = AnvilOptions(
        fork_url=base.anvil.http_url, block_interval_s=BLOCK_INTERVAL_S, ipc=True
    )
    with start_anvil(binary, options) as anvil:
        live = open_live(base.market, anvil.http_url)
        with closing(live.rpc):
            yield MarketNode(anvil=anvil, live=live)
