"""A local market on a node of its own."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from keeper.chain.anvil import Anvil, AnvilOptions, start_anvil
from keeper.devnet.build import build_market
from keeper.devnet.live import LiveMarket, open_live
from keeper.devnet.market import LocalMarket
from keeper.devnet.releases import OLDEST
from keeper.devnet.rpc import Rpc
from keeper.devnet.saved import SavedMarket, resume_saved, save_state


class Base(Protocol):
    """A running anvil with a market on it, of which copies are made."""

    @property
    def anvil(self) -> Anvil: ...

    @property
    def market(self) -> LocalMarket: ...


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
    with copied_node(binary, base, base.live.rpc) as anvil:
        live = open_live(base.market, anvil.http_url)
        with closing(live.rpc):
            yield MarketNode(anvil=anvil, live=live)


@contextmanager
def copied_node(
    binary: Path, base: Base, rpc: Rpc, options: AnvilOptions | None = None
) -> Iterator[Anvil]:
    """Copy a node with a market on it, blocks and all.

    Not a fork: that can stand still for ever (docs/dry-run.md).
    """
    anvil, _ = resume_saved(binary, _saved(base, rpc), options)
    with anvil:
        yield anvil


def _saved(base: Base, rpc: Rpc) -> SavedMarket:
    """Save a node's state as of its newest block, once, beside its own files.

    What is set there without a block is not in a copy that is made later.
    """
    newest = rpc.call("eth_getBlockByNumber", "latest", False)["hash"]
    folder = base.anvil.folder
    saved = SavedMarket(state=folder / f"{newest}.state", market=folder / f"{newest}.market")
    if not saved.market.is_file():
        save_state(rpc, saved.state)
        base.market.save(saved.market)
    return saved
