"""What the node pushes fails: drops, silence, repetition, disorder. Scenarios 2 to 6 and 9."""

from pathlib import Path

import pytest

from keeper.chain.trouble import Trouble
from tests.support.fault_desk import keeper_desk
from tests.support.fault_proxy import (
    Backwards,
    Drop,
    Fault,
    FaultProxy,
    Mute,
    RangeLimit,
    Removed,
    Twice,
)
from tests.support.market_node import MarketNode

Two = tuple[FaultProxy, FaultProxy]


async def test_02_a_socket_that_drops_again_and_again_loses_no_block(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        for ether_bps in (9_500, 9_000, 8_500):
            with proxy.spoiled(Drop()):
                await proxy.drop_sockets()
                desk.fall(ether_bps)
                desk.mine(3)
                await desk.until(lambda: bool(desk.trouble))
            await desk.at_head()
        await desk.settle_landed()
        await desk.require_cold_start()
        desk.require_invariants()
    assert proxy.connections > 4
    assert desk.told(Trouble.RESUMED) != []


async def test_03_a_frozen_socket_is_found_out_by_looking_while_http_is_fine(
    market: MarketNode, tmp_path: Path, proxies: Two
) -> None:
    http, socket = proxies
    async with keeper_desk(tmp_path, market, [http.url, socket.ws_url]) as desk:
        rule = socket.spoil(Mute())
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        await desk.settle()
        assert "found only by looking" in str(desk.trouble)
        assert desk.ears.landed() != []
        socket.heal()
        await desk.require_cold_start()
        desk.require_invariants()
    assert rule.hits > 0


async def test_02_a_dead_socket_is_no_dead_chain_while_http_is_fine(
    market: MarketNode, tmp_path: Path, proxies: Two
) -> None:
    http, socket = proxies
    async with keeper_desk(tmp_path, market, [http.url, socket.ws_url]) as desk:
        socket.spoil(Drop())
        await socket.drop_sockets()
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        await desk.settle()
        await desk.require_cold_start()
        desk.require_invariants()


@pytest.mark.parametrize(
    "fault",
    [Backwards(of=3), Twice(), Removed()],
    ids=["04_out_of_order", "05_twice", "06_removed"],
)
async def test_04_05_06_what_is_pushed_wrongly_changes_no_end(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy, fault: Fault
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        rule = proxy.spoil(fault)
        for ether_bps in (9_200, 8_800, 8_500):
            desk.fall(ether_bps)
        await desk.settle_landed()
        assert rule.hits > 0
        proxy.heal()
        await desk.require_cold_start()
        desk.require_invariants()


async def test_09_blocks_that_were_not_told_are_filled_in(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        with proxy.spoiled(Mute()):
            desk.fall(9_000)
            desk.mine(20)
            desk.fall(8_500)
        await desk.settle_landed()
        await desk.require_cold_start()
        desk.require_invariants()


async def test_14_a_limit_of_log_ranges_is_learned_at_the_cold_start(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    rule = proxy.spoil(RangeLimit(blocks=7), method="eth_getLogs")
    async with keeper_desk(tmp_path, market, [proxy.url]) as desk:
        desk.fall()
        await desk.settle_landed()
        await desk.require_cold_start()
        desk.require_invariants()
    assert rule.hits > 0
    assert proxy.methods.count("eth_getLogs") > market.market.ready_block // 7
