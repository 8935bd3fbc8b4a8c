"""Fifty loans go under the line at once, and all of them are liquidated in the next block."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from keeper.core.plan import Status
from tests.support.keeper_process import until
from tests.support.market_node import MarketNode, built_market
from tests.support.sending_stage import CHEAP, armed
from tests.support.sending_stage import stage as staged

BORROWERS = 400
DEPTH = 7_050


@pytest.fixture
def crowd(anvil_binary: Path, packages: Mapping[str, Path]) -> Iterator[MarketNode]:
    with built_market(anvil_binary, seed=11, borrowers=BORROWERS) as node:
        yield node


def test_fifty_opportunities_in_one_block_all_land_in_the_next(
    crowd: MarketNode, tmp_path: Path
) -> None:
    stage = staged(crowd, tmp_path)
    stage.limit(
        max_in_flight=50,
        min_profit_wei="1 gwei",
        max_gas_per_tx_wei="1 ether",
        max_gas_per_hour_wei="10 ether",
    )
    stage.rpc("anvil_setBlockGasLimit", hex(200_000_000))
    stage.mine(base_fee=CHEAP)
    with armed(stage) as keeper:
        stage.move(DEPTH, base_fee=CHEAP)
        stage.until_sent(keeper, 50)
        stage.mine_seen(keeper, base_fee=CHEAP)
        until(lambda: len(keeper.events("liquidation.settled")) >= 50)
        first = list(stage.books().entries)
        stage.settle(keeper)
        stage.drain(keeper)
    assert len(first) == 50
    assert {entry.status for entry in first} == {Status.LANDED}
    assert len({entry.block for entry in first}) == 1
    assert len({entry.account for entry in first}) == 50
    books = stage.books()
    assert books.total.realised.net == stage.grown()
    # One that misses its block on a busy machine is sent again with the same nonce.
    held = {(plan, nonce) for plan, nonce, *_ in stage.attempts()}
    assert sorted(nonce for _, nonce in held) == list(range(len(held)))
