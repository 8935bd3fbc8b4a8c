"""As many liquidations of a market as there can be, in one block, each foretold to the wei.

The law of ``ProtocolAdapter.market_after`` against the real contracts of every protocol.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from keeper.chain.session import Chain
from keeper.core.chain import BlockRef
from keeper.core.lending import AccountRef, Price
from keeper.devnet.crash import crash
from keeper.devnet.live import LiveMarket
from tests.support import aave_scene, isolated_scene, morpho_scene, venus_scene
from tests.support.market_node import MarketNode, built_market, copied_market
from tests.support.one_block import (
    Sending,
    by_somebody,
    by_the_executor,
    differences,
    foretell,
    mine,
)

ORDERS = 6
"""In which the accounts of a market are liquidated."""
CRASHED = 6
"""Steps of the crash before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A market with many accounts under the line, and how they are liquidated."""

    chain: Chain
    adapter: Any
    block: BlockRef
    view: Any
    """Of the block after ``block``."""
    positions: Mapping[AccountRef, Any]
    prices: Mapping[str, Price]
    sending: Sending
    live: LiveMarket
    stored: Callable[[Any], object]
    """What liquidations move of a market, in a view."""


def fall(live: LiveMarket) -> None:
    for step in crash(live):
        if step.number == CRASHED:
            return


@asynccontextmanager
async def aave(binary: Path, node: MarketNode) -> AsyncIterator[Field]:
    with copied_market(binary, node) as fork:
        fall(fork.live)
        async with aave_scene.open_scene(fork.live, fork.anvil.http_url) as scene:
            look = await scene.look()
            yield Field(
                chain=scene.chain,
                adapter=scene.adapter,
                block=look.block,
                view=scene.adapter.at(
                    look.market, timestamp=look.block.timestamp + 12, prices=look.prices
                ),
                positions=look.positions,
                prices=look.prices,
                sending=by_somebody(scene.adapter, fork.market.accounts.supplier),
                live=fork.live,
                stored=lambda view: (view.lines, [r and (r.cash, r.held) for r in view.reserves]),
            )


@asynccontextmanager
async def aave_v3_0(binary: Path, node: MarketNode) -> AsyncIterator[Field]:
    async with aave(binary, node) as field:
        yield field


@asynccontextmanager
async def aave_v3_6(binary: Path, _: MarketNode) -> AsyncIterator[Field]:
    with built_market(binary, seed=5, borrowers=100, aave="3.6") as node:
        async with aave(binary, node) as field:
            yield field


@asynccontextmanager
async def morpho_blue(binary: Path, node: MarketNode) -> AsyncIterator[Field]:
    with morpho_scene.morpho_node(binary, node) as (fork, local):
        fall(fork.live)
        async with morpho_scene.open_scene(fork, local) as scene:
            look = await scene.look()
            yield Field(
                chain=scene.chain,
                adapter=scene.adapter,
                block=look.block,
                view=scene.view(look, 12),
                positions=look.positions,
                prices=look.prices,
                sending=by_somebody(scene.adapter, scene.liquidator),
                live=fork.live,
                stored=lambda view: (
                    view.lines,
                    {key: one.totals for key, one in view.markets.items()},
                ),
            )


@asynccontextmanager
async def venus(binary: Path, _: MarketNode) -> AsyncIterator[Field]:
    with venus_scene.built_venus(binary) as node:
        fall(node.live.live)
        async with venus_scene.open_scene(node) as scene:
            sending = by_the_executor(scene.adapter, node.live.live, node.live.vai)
            look = await scene.look()
            yield Field(
                chain=scene.chain,
                adapter=scene.adapter,
                block=look.block,
                view=scene.view(look, ahead=1),
                positions=look.positions,
                prices=look.prices,
                sending=sending,
                live=node.live.live,
                stored=lambda view: (
                    view.lines,
                    [(one.stored, one.accrued_at) for one in view.markets],
                    view.vai and (view.vai.index, view.vai.accrued_at),
                ),
            )


@asynccontextmanager
async def venus_isolated(binary: Path, _: MarketNode) -> AsyncIterator[Field]:
    with isolated_scene.built_isolated(binary, by_second=True) as node:
        fall(node.live.live)
        async with isolated_scene.open_scene(node) as scene:
            sending = by_the_executor(scene.adapter, node.live.live)
            look = await scene.look()
            yield Field(
                chain=scene.chain,
                adapter=scene.adapter,
                block=look.block,
                view=scene.view(look, ahead=1),
                positions=look.positions,
                prices=look.prices,
                sending=sending,
                live=node.live.live,
                stored=lambda view: (
                    view.lines,
                    [(one.stored, one.bad_debt, one.accrued_at) for one in view.markets.values()],
                ),
            )


async def chain_after(field: Field) -> Any:
    """Return the market at the newest block, read anew."""
    reader = field.chain.reader
    head = await reader.head()
    assert (head.number, head.timestamp) == (field.block.number + 1, field.view.timestamp)
    market = await field.adapter.read_market(reader, head, None, None)
    return field.adapter.at(
        market, block=head.number, timestamp=head.timestamp, prices=field.prices
    )


@pytest.mark.parametrize("opened", [aave_v3_0, aave_v3_6, morpho_blue, venus, venus_isolated])
async def test_every_liquidation_of_a_block_finds_what_those_before_it_left(
    anvil_binary: Path, local_market: MarketNode, parity_report: list[str], opened: Any
) -> None:
    moved = Counter[bool]()
    async with opened(anvil_binary, local_market) as field:
        view, adapter = field.view, field.adapter
        for seed in range(ORDERS):
            chance = Random(seed)  # noqa: S311 - an order, not a secret
            foretold = list(foretell(adapter, view, field.positions, field.sending, chance))
            assert await differences(field.chain, adapter, view, field.block, foretold) == []
            assert max(Counter(one.ref.market for one in foretold).values()) > 4
            moved.update(one.is_moved for one in foretold)
        mine(field.live.rpc, view, foretold)
        assert field.stored(foretold[-1].view) == field.stored(await chain_after(field))
        assert field.stored(foretold[-1].view) != field.stored(view)
    parity_report.append(
        f"{opened.__name__}: {moved.total()} liquidations in {ORDERS} blocks, of which "
        f"{moved[True]} differ from what they would have been alone"
    )
    assert moved.total() > ORDERS * 8
