"""``keeper demo``: a local market of real contracts, a crash, the liquidations, the books.

No key and no node are needed. It ends by checking itself: the books against the chain's balances,
to the wei, and that whatever is still under the line has a reason.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from msgspec import Struct

from keeper.app.keeper import Keeper
from keeper.app.session import keeper_session
from keeper.chain.anvil import Anvil, AnvilOptions, start_anvil
from keeper.commands.console import say
from keeper.commands.demo_checks import Verdict, check_books
from keeper.commands.demo_observer import DemoObserver
from keeper.commands.local_run import Purse, anvil_binary, dealt_with, mine_until
from keeper.commands.report import print_books
from keeper.config.complaints import suggestion
from keeper.config.settings import Settings, load
from keeper.core.errors import ConfigError
from keeper.devnet.accounts import KEEPER_KEY
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.crash import crash
from keeper.devnet.executor import deploy_executor
from keeper.devnet.live import LiveMarket
from keeper.devnet.stages import Choice, Scene, Wanted, choices, staged
from keeper.evm.keys import parse_key
from keeper.evm.transaction import LocalSigner
from keeper.ledger.books import read_books

BLOCK_S = 0.1
"""Least wall seconds between two blocks of the demo; the chain counts twelve."""


QUIET_BLOCKS = 3
"""Blocks without anything in flight after which the market is taken to be quiet."""


class Stage(Struct, frozen=True, kw_only=True):
    """The local market with the executor on it, and the keeper's files."""

    anvil: Anvil
    scene: Scene
    settings: Settings
    purse: Purse

    @property
    def live(self) -> LiveMarket:
        """The local market that the protocol is on."""
        return self.scene.live


async def demo(protocol: str, wanted: Wanted, folder: Path | None) -> Verdict:
    """Run the whole of it; return what the checks found. Raises ConfigError."""
    for choice in choices(protocol, wanted):
        _require_known(choice)
    if folder is not None:
        _make(folder)
    with _stage(folder, protocol, wanted) as stage:
        before = stage.purse.count(stage.live.rpc)
        await _liquidate(stage)
        after = stage.purse.count(stage.live.rpc)
        books = read_books(stage.settings.database)
        print_books(books)
        verdict = check_books(books, stage.scene, grown=after - before)
    if folder is not None:
        say(f"the keeper's configuration and database are in {folder}")
    return verdict


def _require_known(choice: Choice) -> None:
    """Raise ConfigError before anything is fetched or started for a word that is not known."""
    if choice.found not in choice.known:
        near = suggestion(choice.found, choice.known)
        wanted = f"expected one of {', '.join(choice.known)}"
        raise ConfigError(f"{choice.option}: {wanted}, found {choice.found!r}{near}")


def _make(folder: Path) -> None:
    """Make the folder that was asked for, where it is not there yet."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"--keep: {folder}: expected a folder to write to, found: {error.strerror}"
        raise ConfigError(msg) from error


@contextmanager
def _stage(folder: Path | None, protocol: str, wanted: Wanted) -> Iterator[Stage]:
    """Start anvil, build the market, deploy the executor, write the configuration.

    What is not to be kept is among anvil's own files: those are removed however this process ends.
    """
    binary = anvil_binary()
    say("starting anvil")
    with start_anvil(binary, AnvilOptions(ipc=True)) as anvil:
        scene = staged(protocol, anvil.http_url, wanted)
        live = scene.live
        with closing(live.rpc):
            who = live.market.accounts
            executor = deploy_executor(
                live.rpc, owner=who.deployer, operator=who.keeper, recipient=who.recipient
            )
            say(f"executor contract deployed at {executor}")
            live.rpc.call("evm_setAutomine", False)
            files = KeeperFiles(
                rpc=str(anvil.ipc_path),
                mode="live",
                executor=executor,
                recipient=who.recipient,
                deployments=(scene.deployment,),
            )
            yield Stage(
                anvil=anvil,
                scene=scene,
                settings=load(write_config(folder or anvil.folder, live.market, files)),
                purse=Purse(
                    operator=who.keeper, recipient=who.recipient, wrapped_native=live.market.weth
                ),
            )


async def _liquidate(stage: Stage) -> None:
    """Run the keeper through the crash."""
    observer = DemoObserver()
    settings = stage.settings
    chain_id = settings.chain.chain_id
    stop = asyncio.Event()
    async with (
        keeper_session(
            settings,
            observer,
            signer=lambda: [LocalSigner(parse_key(KEEPER_KEY), chain_id=chain_id)],
        ) as session,
        asyncio.TaskGroup() as group,
    ):
        running = group.create_task(session.keeper.run(session.head, stop))
        await observer.ready.wait()
        await _crash(stage, session.keeper, observer)
        stop.set()
        await mine_until(running.done, session.keeper, stage.live.rpc, pace_s=BLOCK_S)


async def _crash(stage: Stage, keeper: Keeper, observer: DemoObserver) -> None:
    """Let prices fall step by step, each time until the keeper has nothing more to do.

    What the first look sends was planned for the next block at the prices of then: it lands first.
    """
    await dealt_with(keeper, stage.live.rpc)
    if keeper.in_flight:
        await mine_until(_quiet(keeper), keeper, stage.live.rpc, pace_s=BLOCK_S)
    steps = crash(stage.live)
    while (step := await asyncio.to_thread(next, steps, None)) is not None:
        observer.stepped(step)
        await dealt_with(keeper, stage.live.rpc)
        await mine_until(_quiet(keeper), keeper, stage.live.rpc, pace_s=BLOCK_S)


def _quiet(keeper: Keeper) -> Callable[[], bool]:
    """Return whether nothing has been in flight for a few blocks, asked once a block."""
    quiet = -1

    def is_quiet() -> bool:
        nonlocal quiet
        quiet = 0 if keeper.in_flight else quiet + 1
        return quiet >= QUIET_BLOCKS

    return is_quiet
