"""Venus on a copy of a node: its governance, and whom it lets be liquidated."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from keeper.core.lending import AccountRef, Option
from keeper.devnet.contract import Contract
from keeper.devnet.sender import Sender
from keeper.devnet.venus_actions import allow_liquidations
from tests.support.venus_scene import Look, Scene, VenusNode, copied_venus, open_scene


@asynccontextmanager
async def open_copy(binary: Path, base: VenusNode) -> AsyncIterator[Scene]:
    """Open a copy of a node, where the supplier may liquidate."""
    with copied_venus(binary, base) as node:
        async with open_scene(node) as opened:
            allow_liquidations(node.live, Sender.of(node.live.live.rpc, opened.supplier))
            yield opened


def govern(scene: Scene, contract: Contract, function: str, *arguments: object) -> None:
    """Call what governance may."""
    deployer = Sender.of(scene.live.live.rpc, scene.live.live.market.accounts.deployer)
    deployer.call(contract, function, *arguments)
    deployer.mine()


def remove_liquidator(scene: Scene) -> None:
    """Take the Liquidator out of the Comptroller's storage: governance cannot."""
    rpc, comptroller = scene.live.live.rpc, scene.live.venus.comptroller
    wanted = int(scene.live.venus.liquidator, 16)
    slots = range(100)
    words = rpc.batch(("eth_getStorageAt", [comptroller, hex(one), "latest"]) for one in slots)
    (slot,) = [one for one, word in zip(slots, words, strict=True) if int(word, 16) == wanted]
    rpc.call("anvil_setStorageAt", comptroller, hex(slot), "0x" + "00" * 32)
    rpc.call("evm_mine")


def some_option(scene: Scene, look: Look) -> tuple[AccountRef, Option]:
    """Return a way to liquidate in the next block."""
    view = scene.view(look, ahead=1)
    for ref, position in sorted(look.positions.items()):
        for option in scene.adapter.options(view, position):
            return ref, option
    msg = "expected somebody to liquidate, found nobody"
    raise AssertionError(msg)


def all_options(scene: Scene, look: Look) -> list[tuple[AccountRef, Option]]:
    """Return every way to liquidate in the next block."""
    view = scene.view(look, ahead=1)
    return [
        (ref, option)
        for ref, position in sorted(look.positions.items())
        for option in scene.adapter.options(view, position)
    ]


def healthy_pair(scene: Scene, look: Look) -> tuple[AccountRef, Option]:
    """Return a pair of somebody who may not be liquidated."""
    view = scene.view(look, ahead=1)
    markets = look.market.markets
    for ref, position in sorted(look.positions.items()):
        health = scene.adapter.assess(view, position)
        held = [markets[one.market] for one in position.entries if one.tokens]
        owed = [one for one in position.entries if one.principal]
        if not health.liquidatable and held and owed and not markets[owed[0].market].native:
            debt = markets[owed[0].market]
            key = f"{held[0].token}:{debt.token}"
            return ref, Option(collateral=held[0].asset, debt=debt.asset, max_repay=1, key=key)
    msg = "expected a healthy borrower, found none"
    raise AssertionError(msg)
