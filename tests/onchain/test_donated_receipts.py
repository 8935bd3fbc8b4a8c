"""Receipts that a stranger left with the executor: redeemed along, and no reason to stand aside.

A market hands over receipts, and the executor redeems all that it holds. Whoever sends it one raw
unit of each must not keep it from a liquidation.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from keeper.config.settings import Settings
from keeper.core.units import Address
from keeper.devnet.live import LiveMarket
from keeper.devnet.prices import oracle_prices, push_prices
from keeper.devnet.stage_venus import venus_file
from keeper.devnet.stage_venus_isolated import isolated_file
from keeper.evm.words import word_of_address, word_of_int
from tests.onchain.test_batches import configured, planned
from tests.support.isolated_scene import built_isolated
from tests.support.venus_scene import built_venus

BALANCE_OF, TRANSFER = "0x70a08231", "0xa9059cbb"
GAS_MONEY = 10**18


@contextmanager
def venus(binary: Path, folder: Path) -> Iterator[Settings]:
    with built_venus(binary) as node:
        live, made = node.live.live, node.venus
        settings = configured(live, node.anvil, folder, venus_file(node.market, made))
        donated(live, settings, made.markets.values(), made.borrowers)
        yield settings


@contextmanager
def isolated(binary: Path, folder: Path) -> Iterator[Settings]:
    with built_isolated(binary, by_second=False) as node:
        live, made = node.live.live, node.isolated
        settings = configured(live, node.anvil, folder, isolated_file(made))
        for pool in made.pools:
            donated(live, settings, pool.markets.values(), pool.borrowers)
        yield settings


def donated(
    live: LiveMarket, settings: Settings, tokens: Iterable[Address], holders: Iterable[Address]
) -> None:
    """Have a borrower send the executor one raw unit of each token; then let prices fall."""
    executor = settings.executor
    assert executor is not None
    given = [send_one(live, token, holders, executor) for token in tokens]
    assert sum(given) > 1
    prices = oracle_prices(live)
    push_prices(live, {name: prices[name] * 8 // 10 for name in ("WETH", "wstETH")})


def send_one(
    live: LiveMarket, token: Address, holders: Iterable[Address], executor: Address
) -> int:
    for holder in holders:
        live.rpc.call("anvil_impersonateAccount", holder)
        live.rpc.call("anvil_setBalance", holder, hex(GAS_MONEY))
        data = TRANSFER + (word_of_address(executor) + word_of_int(1)).hex()
        live.rpc.call("eth_sendTransaction", {"from": holder, "to": token, "data": data})
        live.rpc.call("evm_mine")
        held = {"to": token, "data": BALANCE_OF + word_of_address(executor).hex()}
        if found := int(live.rpc.call("eth_call", held, "latest"), 16):
            return found
    return 0


@pytest.mark.parametrize("scene", [venus, isolated])
async def test_a_stranger_who_leaves_receipts_with_the_executor_keeps_it_from_nothing(
    anvil_binary: Path,
    tmp_path: Path,
    scene: Callable[[Path, Path], AbstractContextManager[Settings]],
) -> None:
    with scene(anvil_binary, tmp_path) as settings:
        async with planned(settings) as field:
            assert field.rejected == []
            for plan in {one.option.collateral: one for one in field.plans}.values():
                (alone,) = await field.rehearsed(plan)
                kept = await field.ask("evm_snapshot")
                before = await field.held()
                receipt = await field.land(alone)
                (realised,) = field.books(alone, receipt)
                assert receipt.success
                assert realised == alone.forecast
                assert realised.net == await field.held() - before
                assert await field.ask("evm_revert", kept)
