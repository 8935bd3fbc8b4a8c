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
    """Copy a built market to a node of its own: what is done there does not reach the base.

    Not a fork: a fork waits for what it fetches in threads that should have received it, and on
    few cores may wait for ever.
    """
    with tempfile.TemporaryDirectory() as folder:
        saved = SavedMarket(state=Path(folder) / "state", market=Path(folder) / "market")
        save_state(base.live.rpc, saved.state)
        base.market.save(saved.market)
        anvil, market = resume_saved(binary, saved)
    with anvil:
        live = open_live(market, anvil.http_url)
        with closing(live.rpc):
            yield MarketNode(anvil=anvil, live=live)
