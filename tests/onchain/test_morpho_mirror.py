"""Markets that begin, and that are followed or not, while the mirror follows Morpho Blue."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from keeper.app.checkpoints import JournaledCheckpoints
from keeper.app.shelf import Shelf
from keeper.app.sight import Sight
from keeper.core.chain import BlockRef, Log, LogFilter
from keeper.core.lending import AccountRef
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.devnet.contract import create_address
from keeper.devnet.morpho import EARLY_TERMS, LocalMorpho, market_id
from keeper.devnet.sender import Sender
from keeper.ledger.journal import SqliteJournal
from keeper.mirror.mirror import Mirror
from keeper.protocols.morpho_blue import codec
from keeper.protocols.morpho_blue.adapter import MorphoAdapter
from keeper.protocols.morpho_blue.state import MorphoMarket, MorphoPosition
from tests.support.ledger_records import opened
from tests.support.market_node import MarketNode
from tests.support.mirror_stand import silent
from tests.support.morpho_scene import Scene, morpho_node, open_scene

_SUPPLY = 10**12
_COLLATERAL = 10**18
_LOAN = 10**8
_SECOND = 2
"""Nonce of the factory after its first contract."""

MorphoMirror = Mirror[MorphoMarket, MorphoPosition]


@pytest.fixture(scope="module")
def built(anvil_binary: Path, local_market: MarketNode) -> Iterator[tuple[MarketNode, LocalMorpho]]:
    with morpho_node(anvil_binary, local_market, borrowers=8) as made:
        yield made


@pytest.fixture
def node(built: tuple[MarketNode, LocalMorpho]) -> Iterator[tuple[MarketNode, LocalMorpho]]:
    """The built market; what a test does to it is undone."""
    rpc = built[0].live.rpc
    mark = rpc.call("evm_snapshot")
    yield built
    rpc.call("evm_revert", mark)


def begin_market(sender: Sender, local: LocalMorpho) -> str:
    """Queue a market and a loan in it, both by the supplier of the others; return its id."""
    morpho, first = local.morpho, local.markets[0]
    *parties, _ = first.params
    params = (*parties, local.markets[1].params[-1])
    sender.call(morpho, "createMarket", params)
    sender.call(morpho, "supply", params, _SUPPLY, 0, sender.account, b"")
    sender.call(morpho, "supplyCollateral", params, _COLLATERAL, sender.account, b"")
    sender.call(morpho, "borrow", params, _LOAN, 0, sender.account, sender.account)
    return market_id(params)


def begin_early(sender: Sender, local: LocalMorpho, key: str) -> Address:
    """Queue a contract that liquidates a market's loans early, and consent; return its address."""
    early = create_address(local.factory.address, _SECOND)
    terms = (*EARLY_TERMS, local.markets[0].params[2])
    sender.call(local.factory, "createPreLiquidation", bytes.fromhex(key[2:]), terms)
    sender.call(local.morpho, "setAuthorization", early, True)
    return early


async def cold(scene: Scene) -> dict[AccountRef, MorphoPosition]:
    """Return who owes something at the head, read anew."""
    mirror: MorphoMirror = Mirror(scene.adapter, scene.chain.reader)
    snapshot = await mirror.start(await scene.chain.reader.head(), None, silent)
    return dict(snapshot.positions)


async def test_a_loan_in_the_block_that_begins_its_market_is_followed(
    node: tuple[MarketNode, LocalMorpho],
):
    market_node, local = node
    async with open_scene(market_node, local) as scene:
        mirror: MorphoMirror = Mirror(scene.adapter, scene.chain.reader)
        await mirror.start(await scene.chain.reader.head(), None, silent)
        sender = Sender.of(local.live.rpc, scene.liquidator)
        key = begin_market(sender, local)
        places = {key, begin_early(sender, local, key)}
        sender.mine()
        snapshot = await mirror.advance(await scene.chain.reader.head())
        assert places == {ref.market for ref in snapshot.positions if ref.account == sender.account}
        assert dict(snapshot.positions) == await cold(scene)


def following(scene: Scene, many: int) -> MorphoAdapter:
    """Return an adapter that follows the first so many markets alone, and early in none."""
    markets = tuple(one.id for one in scene.local.markets[:many])
    parameters = replace(scene.adapter.parameters, markets=markets, pre_liquidation_factories=())
    return replace(scene.adapter, parameters=parameters)


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


@pytest.mark.parametrize("has_book", [True, False])
@pytest.mark.parametrize(("first", "then"), [(2, 4), (4, 2), (3, 3)])
async def test_a_start_that_follows_other_markets_equals_a_cold_one(
    node: tuple[MarketNode, LocalMorpho],
    tmp_path: Path,
    has_book: bool,  # noqa: FBT001 - a parameter of the test
    first: int,
    then: int,
):
    market_node, local = node
    book, journal = tmp_path / "book", await opened(tmp_path)
    async with open_scene(market_node, local) as scene:
        before = Start.of(following(scene, first), scene, journal, book)
        head = await scene.chain.reader.head()
        await before.fill(head)
        await before.keep()
        if not has_book:
            book.unlink()
        after = Start.of(following(scene, then), scene, journal, book)
        assert await after.fill(head) == (has_book and then <= first)
        cold_mirror: MorphoMirror = Mirror(following(scene, then), scene.chain.reader)
        cold_start = await cold_mirror.start(head, None, silent)
        assert dict(after.mirror.snapshot.positions) == dict(cold_start.positions)
        assert after.sight.columns is not None
        assert len(after.sight.columns) == len(cold_start.positions)
    await journal.close()


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


@pytest.mark.parametrize("has_book", [True, False])
async def test_a_market_that_began_since_is_no_reason_to_discover_anew(
    node: tuple[MarketNode, LocalMorpho],
    tmp_path: Path,
    has_book: bool,  # noqa: FBT001 - a parameter of the test
):
    market_node, local = node
    book, journal = tmp_path / "book", await opened(tmp_path)
    async with open_scene(market_node, local) as scene:
        before = Start.of(scene.adapter, scene, journal, book)
        kept_at = await scene.chain.reader.head()
        await before.fill(kept_at)
        await before.keep()
        if not has_book:
            book.unlink()
        sender = Sender.of(local.live.rpc, scene.liquidator)
        key = begin_market(sender, local)
        places = {key, begin_early(sender, local, key)}
        sender.mine()
        noted: Any = Noted(scene.chain.reader)
        after = Start.of(scene.adapter, scene, journal, book)
        after = replace(after, mirror=Mirror(scene.adapter, noted))
        assert await after.fill(await scene.chain.reader.head()) == has_book
        positions = after.mirror.snapshot.positions
        assert places == {ref.market for ref in positions if ref.account == sender.account}
        assert dict(positions) == await cold(scene)
        assert noted.since == [kept_at.number + 1]
    await journal.close()


async def test_a_start_block_that_is_set_back_is_gone_back_to(
    node: tuple[MarketNode, LocalMorpho], tmp_path: Path
):
    market_node, local = node
    book, journal = tmp_path / "book", await opened(tmp_path)
    async with open_scene(market_node, local) as scene:
        head = await scene.chain.reader.head()
        late = Start.of(replace(scene.adapter, start_block=head.number), scene, journal, book)
        await late.fill(head)
        await late.keep()
        after = Start.of(scene.adapter, scene, journal, book)
        assert not await after.fill(head)
        assert dict(after.mirror.snapshot.positions) == await cold(scene) != {}
    await journal.close()


def second_of_oracle(sender: Sender, local: LocalMorpho) -> None:
    """Queue a market of other collateral at the first one's oracle, with a lower id than that's."""
    loan, own, oracle, irm, _ = local.markets[0].params
    others = {one.address for one in local.live.tokens.values()} - {loan, own}
    thresholds = {one.params[-1] for one in local.markets}
    found = [(loan, other, oracle, irm, lltv) for other in others for lltv in thresholds]
    params = min(found, key=market_id)
    assert market_id(params) < local.markets[0].id
    sender.call(local.morpho, "createMarket", params)


async def test_an_oracle_keeps_the_name_that_guards_know_it_by(
    node: tuple[MarketNode, LocalMorpho],
):
    """Anybody may begin another market at it, of a token with a name of their choice."""
    market_node, local = node
    async with open_scene(market_node, local) as scene:
        before = await scene.look()
        first = local.markets[0]
        sender = Sender.of(local.live.rpc, scene.liquidator)
        second_of_oracle(sender, local)
        sender.mine()
        sender.call(local.morpho, "supply", first.params, 1_000, 0, sender.account, b"")
        sender.mine()
        for look in (await scene.follow(before), await scene.look()):
            feeds = {one.id: one for one in scene.adapter.feeds(look.market)}
            assert len(look.market.markets) == len(before.market.markets) + 1
            assert feeds[first.params[2]].label == "WETH/USDC"
