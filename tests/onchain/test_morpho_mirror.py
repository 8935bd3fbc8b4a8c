"""Markets that begin, and that are followed or not, while the mirror follows Morpho Blue."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keeper.core.lending import AccountRef
from keeper.core.values import replace
from keeper.devnet.morpho import LocalMorpho, market_id
from keeper.devnet.sender import Sender
from keeper.mirror.mirror import Mirror
from keeper.protocols.morpho_blue.adapter import MorphoAdapter
from tests.support.ledger_records import opened
from tests.support.market_node import MarketNode
from tests.support.mirror_stand import silent
from tests.support.morpho_scene import Scene, morpho_node, open_scene
from tests.support.morpho_starts import (
    MorphoMirror,
    Noted,
    Start,
    begin_early,
    begin_loan,
    begin_market,
    cold,
)
from tests.support.watched_reader import Behind


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
        assert dict(snapshot.positions) == dict((await cold(scene)).positions)


async def test_a_market_that_began_in_the_newest_blocks_is_known_though_ranges_lack_them(
    node: tuple[MarketNode, LocalMorpho],
):
    market_node, local = node
    async with open_scene(market_node, local) as scene:
        sender = Sender.of(local.live.rpc, scene.liquidator)
        key = begin_market(sender, local)
        places = {key, begin_early(sender, local, key)}
        sender.mine()
        mirror: MorphoMirror = Mirror(scene.adapter, Behind(reader=scene.chain.reader))
        snapshot = await mirror.start(await scene.chain.reader.head(), None, silent)
        assert places == {ref.market for ref in snapshot.positions if ref.account == sender.account}
        fresh = await cold(scene)
        assert (snapshot.market, dict(snapshot.positions)) == (fresh.market, dict(fresh.positions))


def following(scene: Scene, many: int) -> MorphoAdapter:
    """Return an adapter that follows the first so many markets alone, and early in none."""
    markets = tuple(one.id for one in scene.local.markets[:many])
    parameters = replace(scene.adapter.parameters, markets=markets, pre_liquidation_factories=())
    return replace(scene.adapter, parameters=parameters)


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
        assert dict(positions) == dict((await cold(scene)).positions)
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
        assert dict(after.mirror.snapshot.positions) == dict((await cold(scene)).positions) != {}
    await journal.close()


async def test_contracts_that_nobody_authorised_are_not_asked(
    node: tuple[MarketNode, LocalMorpho],
):
    """Anybody may create any number of them, with an oracle of their choice."""
    market_node, local = node
    async with open_scene(market_node, local) as scene:
        reader = scene.chain.reader
        mirror: MorphoMirror = Mirror(scene.adapter, reader)
        before = await mirror.start(await reader.head(), None, silent)
        sender = Sender.of(local.live.rpc, scene.liquidator)
        key = begin_market(sender, local)
        strange = {begin_early(sender, local, key, nth=n, consent=False) for n in range(1, 31)}
        sender.mine()
        after = await mirror.advance(await reader.head())
        assert after.market.dormant == before.market.dormant | strange
        assert after.market.pre_liquidations == before.market.pre_liquidations
        new = {ref for ref in mirror.known if ref.account == sender.account}
        assert new == {AccountRef(market=key, account=sender.account)}
        assert len(scene.adapter.feeds(after.market)) == len(scene.adapter.feeds(before.market))
        assert (await cold(scene)).market == after.market


async def test_a_contract_is_asked_for_those_alone_that_authorised_it(
    node: tuple[MarketNode, LocalMorpho],
):
    market_node, local = node
    first = local.markets[0]
    async with open_scene(market_node, local) as scene:
        reader = scene.chain.reader
        mirror: MorphoMirror = Mirror(scene.adapter, reader)
        before = await mirror.start(await reader.head(), None, silent)
        owing = next(ref.account for ref in before.positions if ref.market == first.id)
        sender = Sender.of(local.live.rpc, scene.liquidator)
        early = begin_early(sender, local, first.id, consent=False)
        begin_loan(sender, local, first.params)
        sender.mine()
        await mirror.advance(await reader.head())
        sender.call(local.morpho, "setAuthorization", early, True)
        sender.call(local.morpho, "repay", first.params, 1_000, 0, owing, b"")
        sender.mine()
        snapshot = await mirror.advance(await reader.head())
        own = AccountRef(market=early, account=sender.account)
        assert {ref for ref in mirror.known if ref.market == early} == {own}
        assert snapshot.positions[own].shares
        assert snapshot.market.pre_liquidations[early].users == {sender.account}
        fresh = await cold(scene)
        assert (snapshot.market, dict(snapshot.positions)) == (fresh.market, dict(fresh.positions))


@pytest.mark.parametrize("has_book", [True, False])
@pytest.mark.parametrize("is_new", [True, False])
async def test_a_contract_that_was_authorised_is_known_to_a_start(
    node: tuple[MarketNode, LocalMorpho],
    tmp_path: Path,
    has_book: bool,  # noqa: FBT001 - a parameter of the test
    is_new: bool,  # noqa: FBT001 - a parameter of the test
):
    """Of users since then the start before knew the loans, not of those before it followed it."""
    market_node, local = node
    book, journal = tmp_path / "book", await opened(tmp_path)
    async with open_scene(market_node, local) as scene:
        sender = Sender.of(local.live.rpc, scene.liquidator)
        begin_loan(sender, local, local.markets[0].params)
        early = begin_early(sender, local, local.markets[0].id, consent=not is_new)
        sender.mine()
        followed = scene.adapter if is_new else following(scene, len(local.markets))
        before = Start.of(followed, scene, journal, book)
        kept_at = await scene.chain.reader.head()
        await before.fill(kept_at)
        await before.keep()
        if not has_book:
            book.unlink()
        if is_new:
            sender.call(local.morpho, "setAuthorization", early, True)
        sender.mine()
        noted: Any = Noted(scene.chain.reader)
        after = replace(
            Start.of(scene.adapter, scene, journal, book), mirror=Mirror(scene.adapter, noted)
        )
        assert await after.fill(await scene.chain.reader.head()) == (has_book and is_new)
        assert dict(after.mirror.snapshot.positions) == dict((await cold(scene)).positions)
        assert AccountRef(market=early, account=sender.account) in after.mirror.snapshot.positions
        assert noted.since == [kept_at.number + 1 if is_new else scene.adapter.start_block]
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
