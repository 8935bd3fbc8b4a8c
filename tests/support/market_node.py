"""A local market on a node of its own."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from keeper.chain.anvil import Anvil, AnvilOptions, start_anvil
from keeper.devnet.build import build_market
from keeper.devnet.live import LiveMarket, open_live
from keeper.devnet.market import LocalMarket
from keeper.devnet.releases import OLDEST
from keeper.devnet.rpc import Rpc
from keeper.devnet.saved import SavedMarket, resume_saved, save_state


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
def copied_market(binary: Path, base: MarketNode) -> Iterator[MarketNode]:
    """Copy a built market to a node of its own: what is done there does not reach the base."""
    with copied_node(binary, base.live.rpc, base.market) as anvil:
        live = open_live(base.market, anvil.http_url)
        with closing(live.rpc):
            yield MarketNode(anvil=anvil, live=live)


@contextmanager
def copied_node(
    binary: Path, base: Rpc, market: LocalMarket, options: AnvilOptions | None = None
) -> Iterator[Anvil]:
    """Copy a node with a market on it, blocks and all.

    Not a fork: that can stand still for ever (docs/dry-run.md).
    """
    with tempfile.TemporaryDirectory() as folder:
        saved = SavedMarket(state=Path(folder) / "state", market=Path(folder) / "market")
        save_state(base, saved.state)
        market.save(saved.market)
        anvil, _ = resume_saved(binary, saved, options)
    with anvil:
        yield anvil
