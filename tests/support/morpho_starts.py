"""Starts of a mirror of Morpho Blue, and markets and contracts that begin meanwhile."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from keeper.app.checkpoints import JournaledCheckpoints
from keeper.app.shelf import Shelf
from keeper.app.sight import Sight
from keeper.core.chain import BlockRef, Log, LogFilter
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.devnet.contract import create_address
from keeper.devnet.morpho import EARLY_TERMS, LocalMorpho, market_id
from keeper.devnet.sender import Sender
from keeper.ledger.journal import SqliteJournal
from keeper.mirror.mirror import Mirror
from keeper.mirror.snapshot import Snapshot
from keeper.protocols.morpho_blue import codec
from keeper.protocols.morpho_blue.adapter import MorphoAdapter
from keeper.protocols.morpho_blue.state import MorphoMarket, MorphoPosition
from tests.support.mirror_stand import silent
from tests.support.morpho_scene import Scene

_SUPPLY = 10**12
_COLLATERAL = 10**18
_LOAN = 10**8

MorphoMirror = Mirror[MorphoMarket, MorphoPosition]
MorphoSnapshot = Snapshot[MorphoMarket, MorphoPosition]
MarketWords = tuple[Address, Address, Address, Address, int]


def begin_market(sender: Sender, local: LocalMorpho) -> str:
    """Queue a market and a loan in it, both by the supplier of the others; return its id."""
    morpho, first = local.morpho, local.markets[0]
    *parties, _ = first.params
    params = (*parties, local.markets[1].params[-1])
    sender.call(morpho, "createMarket", params)
    sender.call(morpho, "supply", params, _SUPPLY, 0, sender.account, b"")
    begin_loan(sender, local, params)
    return market_id(params)


def begin_loan(sender: Sender, local: LocalMorpho, params: MarketWords) -> None:
    """Queue a loan in a market."""
    morpho, who = local.morpho, sender.account
    sender.call(morpho, "supplyCollateral", params, _COLLATERAL, who, b"")
    sender.call(morpho, "borrow", params, _LOAN, 0, who, who)


def begin_early(
    sender: Sender, local: LocalMorpho, key: str, *, nth: int = 1, consent: bool = True
) -> Address:
    """Queue a contract that liquidates a market's loans early; return its address.

    And the sender's consent to it. It is the factory's ``nth`` after the first.
    """
    early = create_address(local.factory.address, 1 + nth)
    terms = (*EARLY_TERMS, local.markets[0].params[2])
    sender.call(local.factory, "createPreLiquidation", bytes.fromhex(key[2:]), terms)
    if consent:
        sender.call(local.morpho, "setAuthorization", early, True)
    return early


async def cold(scene: Scene) -> MorphoSnapshot:
    """Return what there is at the head, read anew."""
    mirror: MorphoMirror = Mirror(scene.adapter, scene.chain.reader)
    return await mirror.start(await scene.chain.reader.head(), None, silent)


class Noted:
    """The chain's own reader; notes from which block borrowers are looked for."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.since: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    async def logs_between(self, wanted: LogFilter, since: int, until: int) -> list[Log]:
        if codec.BORROW_EVENT in wanted.topics:
            self.since.append(since)
        return await self._reader.logs_between(wanted, since, until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A start with a mirror of its own; ledger and book are those of the starts before."""

    mirror: MorphoMirror
    sight: Sight[MorphoMarket, MorphoPosition]
    shelf: Shelf[MorphoMarket, MorphoPosition]

    @classmethod
    def of(cls, adapter: MorphoAdapter, scene: Scene, journal: SqliteJournal, book: Path) -> Self:
        """Begin with nothing read."""
        store = JournaledCheckpoints(journal.checkpoints)
        return cls(
            mirror=Mirror(adapter, scene.chain.reader),
            sight=Sight(adapter, block_time_s=12),
            shelf=Shelf(adapter, store, book, every_blocks=1),
        )

    async def fill(self, head: BlockRef) -> bool:
        """Go on from the book, else from the checkpoint; return whether the book was of use."""
        if await self.shelf.resume(head, self.mirror, self.sight):
            return True
        self.sight.take(await self.mirror.start(head, await self.shelf.checkpoint(), silent))
        return False

    async def keep(self) -> None:
        """Leave what the next start goes on from."""
        checkpoint, snapshot = self.mirror.checkpoint(0), self.mirror.snapshot
        await self.shelf.keep(checkpoint, snapshot, self.sight.columns)
