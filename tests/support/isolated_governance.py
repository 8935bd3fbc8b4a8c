"""The isolated pools as prices fall: who may be liquidated, and what governance sets."""

from keeper.core.lending import AccountRef, Option
from keeper.devnet.contract import Contract
from keeper.devnet.crash import crash
from keeper.devnet.sender import Sender
from keeper.protocols.venus_isolated.case import KEY_SEPARATOR, Way
from tests.support.isolated_scene import Look, Scene


async def crashed(scene: Scene, steps: int = 6) -> Look:
    """Let prices fall by so many steps of the crash, and look."""
    for step in crash(scene.live.live):
        if step.number == steps:
            break
    return await scene.look()


def way_of(option: Option) -> Way:
    """Return how an option liquidates."""
    return Way(option.key.split(KEY_SEPARATOR)[0])


def govern(scene: Scene, contract: Contract, function: str, *arguments: object) -> None:
    """Call what governance may."""
    deployer = Sender.of(scene.live.live.rpc, scene.live.live.market.accounts.deployer)
    deployer.call(contract, function, *arguments)
    deployer.mine()


def comptroller_of(scene: Scene, ref: AccountRef) -> Contract:
    """Return the Comptroller of an account's pool."""
    (found,) = [p.comptroller for p in scene.live.pools if p.pool.comptroller == ref.market]
    return found


def all_options(scene: Scene, look: Look) -> list[tuple[AccountRef, Option]]:
    """Return every way to liquidate in the next block."""
    view = scene.view(look, ahead=1)
    return [
        (ref, option)
        for ref, position in sorted(look.positions.items())
        for option in scene.adapter.options(view, position)
    ]
