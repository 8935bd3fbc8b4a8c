"""``keeper dry-run``: the whole pipeline on a fork of the configured chain, sending for real there.

The fork is ours alone: the key is thrown away with it, and nothing reaches the chain.
"""

import asyncio
import os
from contextlib import closing
from pathlib import Path

from msgspec import Struct

from keeper.app.log_observer import LogObserver
from keeper.app.opening import opened_chain
from keeper.app.session import keeper_session
from keeper.chain.anvil import Anvil, AnvilOptions, start_anvil
from keeper.chain.endpoint import EndpointKind, parse_endpoint
from keeper.commands.console import say, write_stderr_aside
from keeper.commands.local_run import Purse, anvil_binary, mine_until
from keeper.commands.report import print_books
from keeper.commands.running import stop_on_signals
from keeper.config.fleet import load_fleet
from keeper.config.settings import Settings
from keeper.core.errors import ConfigError
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.devnet.executor import deploy_executor
from keeper.devnet.rpc import Rpc
from keeper.devnet.sender import unlocked_accounts
from keeper.evm.keys import throwaway_signer
from keeper.evm.transaction import LocalSigner
from keeper.ledger.books import read_books
from keeper.runtime.stopping import done_before
from keeper.telemetry.logging import configure_logging
from keeper.telemetry.metrics import LOST_LINES

FUNDS = 100 * WAD
"""What the throwaway operator starts with, wei of the fork's own making."""

BLOCK_S = 0.25


class Fork(Struct, frozen=True, kw_only=True):
    """A running fork with the executor on it."""

    settings: Settings
    signer: LocalSigner
    rpc: Rpc
    purse: Purse


async def dry_run(
    config: Path, *, fork_block: int | None, blocks: int, chain: str | None = None
) -> bool:
    """Run ``blocks`` blocks on a fork; return whether the books agree with the balances."""
    settings = load_fleet(config).one(chain, "a dry run forks one chain")
    write_stderr_aside(LOST_LINES.inc)
    configure_logging(
        level=settings.log.level,
        form=settings.log.format,
        secrets=[one.address for one in settings.chain.rpc],
    )
    async with opened_chain(settings) as opened:
        head = await opened.reader.head()
    if fork_block is not None and fork_block > head.number:
        msg = f"--fork-block: expected at most the head, {head.number}, found {fork_block}"
        raise ConfigError(msg)
    options = AnvilOptions(
        fork_url=_fork_url(settings),
        fork_block=fork_block if fork_block is not None else head.number,
        chain_id=settings.chain.chain_id,
        block_interval_s=settings.chain.block_time_s,
    )
    say(f"forking {settings.chain.name} at block {options.fork_block}")
    with (
        start_anvil(anvil_binary(), options) as anvil,
        closing(Rpc(anvil.http_url)) as rpc,
    ):
        return await _on_fork(_prepare(settings, anvil, rpc), blocks)


def _fork_url(settings: Settings) -> str:
    """Return an endpoint that anvil can fork from."""
    for endpoint in settings.chain.rpc:
        if endpoint.kind is not EndpointKind.IPC:
            return endpoint.address
    msg = f"{settings.chain.name}: rpc: expected an http or ws URL to fork from, found IPC alone"
    raise ConfigError(msg)


def _prepare(settings: Settings, anvil: Anvil, rpc: Rpc) -> Fork:
    """Deploy the executor on the fork for a throwaway operator, and point the settings there.

    The books are among the fork's own files: those are removed however this process ends.
    """
    signer = throwaway_signer(chain_id=settings.chain.chain_id, seed=os.urandom(32))
    owner = unlocked_accounts(rpc)[0]
    executor = deploy_executor(rpc, owner=owner, operator=signer.address, recipient=signer.address)
    rpc.call("anvil_setBalance", signer.address, hex(FUNDS))
    rpc.call("evm_setAutomine", False)
    here = replace(
        settings,
        chain=settings.chain.model_copy(
            update={
                "rpc": (replace(parse_endpoint(anvil.ws_url), forks=True),),
                "confirmations": 0,
                "follows_wall_clock": False,
            }
        ),
        database=anvil.folder / "keeper.sqlite",
        executor=executor,
        recipient=signer.address,
    )
    purse = Purse(
        operator=signer.address,
        recipient=signer.address,
        wrapped_native=settings.chain.wrapped_native,
    )
    return Fork(settings=here, signer=signer, rpc=rpc, purse=purse)


async def _on_fork(fork: Fork, blocks: int) -> bool:
    before = fork.purse.count(fork.rpc)
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with (
        keeper_session(fork.settings, LogObserver(), signer=lambda: [fork.signer]) as session,
        asyncio.TaskGroup() as group,
    ):
        running = group.create_task(session.keeper.run(session.head, stop))
        # A stop while the mirrors are filled ends that: nothing is ever watched then.
        await done_before(stop, _waited_for(session.keeper.watching))
        ends = session.head.number + blocks
        await mine_until(
            lambda: stop.is_set() or session.keeper.acted_on >= ends,
            session.keeper,
            fork.rpc,
            pace_s=BLOCK_S,
        )
        stop.set()
        await mine_until(running.done, session.keeper, fork.rpc, pace_s=BLOCK_S)
    grown = fork.purse.count(fork.rpc) - before
    books = read_books(fork.settings.database)
    print_books(books)
    agrees = books.total.realised.net == grown
    say(f"{'ok' if agrees else 'FAILED'}: the balances on the fork grew by {grown} wei")
    return agrees


async def _waited_for(event: asyncio.Event) -> None:
    await event.wait()
