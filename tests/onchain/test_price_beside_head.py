"""A price that is read while a head is: what the head tells of other feeds is not lost."""

from pathlib import Path
from typing import Any

import pytest

from keeper.core.chain import BlockRef, Log
from keeper.devnet.assets import ASSETS
from keeper.devnet.morpho import build_morpho, liquidatable
from keeper.devnet.morpho_specs import loan_of
from keeper.devnet.prices import oracle_prices, push_prices
from keeper.devnet.stage_aave_v3 import aave_file
from keeper.devnet.stage_morpho_blue import morpho_file
from tests.support.market_node import MarketNode
from tests.support.others import Onlooker, onlooker

ETHER_FOR_DOLLARS = 3
"""The place of its market."""


async def event_of(ours: Onlooker, head: BlockRef) -> Log:
    (log,) = await ours.session.chain.reader.logs_of(ours.deployment.price_filter, head.hash)
    return log


async def test_a_head_that_is_read_while_a_price_of_the_next_block_is(
    market_copy: MarketNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, file = market_copy.live, aave_file(market_copy.live.market)
    async with onlooker(tmp_path, live, market_copy.anvil.http_url, file) as ours:
        reader, deployment = ours.session.chain.reader, ours.deployment
        answers = oracle_prices(live)
        push_prices(live, {"WBTC": answers["WBTC"] // 2})  # a leap, whose event is not heard
        before = await reader.head()
        push_prices(live, {"WETH": answers["WETH"] * 8 // 10})
        event = await event_of(ours, await reader.head())
        watcher = deployment._watcher
        block_of = watcher.block_of

        async def meanwhile(*wanted: Any) -> tuple[BlockRef, list[Log]]:
            assert await deployment.see_head(before)
            return await block_of(*wanted)

        monkeypatch.setattr(watcher, "block_of", meanwhile)
        await deployment.see_price(event)
        assert ours.heard.skips == []
        found, truth = deployment._prices, await watcher.read(await reader.head(), None)
        assert found is not None
        assert found.block == truth.block
        assert {key: one.value for key, one in found.prices.items()} == {
            key: one.value for key, one in truth.prices.items()
        }
        assert live.market.asset("WBTC").token in found.problems
        left = deployment.acting._mail.take()
        assert left is not None
        assert left.found.opportunities
        assert (left.book.prices, left.book.problems) == (found.prices, found.problems)


async def test_who_falls_by_two_feeds_of_a_block_together_is_found_before_its_head(
    market_copy: MarketNode, tmp_path: Path
) -> None:
    live = market_copy.live
    loans = [loan_of(ETHER_FOR_DOLLARS, 20_000, 10_100)]
    local = build_morpho(live, seed=5, borrowers=1, loans=loans)
    async with onlooker(tmp_path, live, market_copy.anvil.http_url, morpho_file(local)) as ours:
        reader, deployment = ours.session.chain.reader, ours.deployment
        deployment.acting._mail.take()
        ether, dollar = ASSETS["WETH"].price, ASSETS["DAI"].price
        push_prices(live, {"WETH": ether * 993 // 1_000, "DAI": dollar * 1_007 // 1_000})
        assert len(liquidatable(local)) == 1
        events = await reader.logs_of(deployment.price_filter, (await reader.head()).hash)
        assert len(events) == 2
        await deployment.see_price(events[0])
        assert deployment.acting._mail.take() is None  # nobody falls by one of them alone
        await deployment.see_price(events[1])
        left = deployment.acting._mail.take()
        assert left is not None
        assert len(left.found.opportunities) == 1
