"""Markets that begin, and loans in them, while the mirror follows Morpho Blue."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.core.lending import AccountRef
from keeper.core.units import Address
from keeper.devnet.contract import create_address
from keeper.devnet.morpho import EARLY_TERMS, LocalMorpho, market_id
from keeper.devnet.sender import Sender
from keeper.mirror.mirror import Mirror
from keeper.protocols.morpho_blue.state import MorphoMarket, MorphoPosition
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
