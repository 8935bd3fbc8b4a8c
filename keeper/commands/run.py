"""``keeper run``: the daemon, disarmed unless armed."""

import asyncio
import getpass
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from keeper.app.alerting import alert_tap
from keeper.app.board import Board
from keeper.app.chorus import Chorus
from keeper.app.log_observer import LogObserver
from keeper.app.session import Keys, keeper_session
from keeper.app.signers import remote_signers
from keeper.app.status import TOKEN_VARIABLE, served
from keeper.commands.console import say
from keeper.commands.running import halt_on_signal, stop_on_signals
from keeper.config.keeper_file import Mode
from keeper.config.settings import Settings, load
from keeper.config.sources import find_outside
from keeper.core.errors import ConfigError, KeeperError
from keeper.core.ports import Signer
from keeper.evm.keys import PRIVATE_KEY_VARIABLE, load_signers
from keeper.runtime.clock import SystemClock
from keeper.telemetry.logging import configure_logging
from keeper.telemetry.tallies import TALLIES

log = structlog.get_logger()

KEEPER_FAILED = "keeper.failed"

CONFIRM_VARIABLE = "KEEPER_CONFIRM_LIVE_CHAIN_ID"


async def run(config: Path, *, arm: bool) -> None:
    """Run until a signal, or until a loop fails."""
    settings = load(config)
    signer = arming(settings, os.environ, arm=arm)
    with alert_tap(settings) as tap:
        configure_logging(
            level=settings.log.level,
            form=settings.log.format,
            secrets=secrets_of(settings),
            tap=tap,
        )
        try:
            await _run(settings, signer)
        except Exception as error:
            log.critical(KEEPER_FAILED, kind=type(error).__name__, why=_shown(error))
            raise


async def _run(settings: Settings, local: Keys | None) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    clock = SystemClock()
    board = Board(TALLIES, now=time.monotonic)
    observer = Chorus([LogObserver(), board])
    async with (
        remote_signers(settings, armed=local is not None) as remote,
        keeper_session(settings, observer, signer=joined(local, remote), clock=clock) as session,
        served(settings, session, board, TALLIES, clock) as port,
    ):
        say(_standing(settings, armed=local is not None))
        if port is not None:
            say(f"status on http://{settings.http.host}:{port}/")
        halt_on_signal(session.keeper.halt)
        await session.keeper.run(session.head, stop)


def joined(local: Keys | None, remote: Sequence[Signer]) -> Keys | None:
    """Return how to get every signer; None is disarmed."""
    return None if local is None else lambda: [*local(), *remote]


def secrets_of(settings: Settings) -> list[str]:
    """Return what must never be in a line of the log."""
    channels = [one.get_secret_value() for one in settings.alerts.urls]
    token = find_outside(TOKEN_VARIABLE)
    remote = settings.operator.web3signer
    return [
        *(one.address for one in settings.chain.rpc),
        *channels,
        *([token] if token else []),
        *([remote.rpc.address] if remote else []),
    ]


def _shown(error: Exception) -> str:
    """Return what may be said of an error: the words of one that is not ours may hold anything."""
    if isinstance(error, ExceptionGroup):
        return "; ".join(_shown(one) for one in error.exceptions)
    return str(error) if isinstance(error, KeeperError) else type(error).__name__


def arming(settings: Settings, environment: Mapping[str, str], *, arm: bool) -> Keys | None:
    """Return how to get the keys at hand if the run is armed: asked for twice, for this chain.

    None is disarmed. There may be none at hand where a web3signer is configured.
    Raises ConfigError when it is asked for but not all of it is there.
    """
    if not arm:
        return None
    chain_id = settings.chain.chain_id
    if settings.mode is not Mode.LIVE:
        msg = f"{settings.path}: mode: expected live for --arm, found {settings.mode.value}"
        raise ConfigError(msg)
    confirmed = environment.get(CONFIRM_VARIABLE, "nothing")
    if confirmed != str(chain_id):
        msg = f"{CONFIRM_VARIABLE}: expected {chain_id} to arm on this chain, found {confirmed}"
        raise ConfigError(msg)
    operator = settings.operator
    at_hand = operator.keystore or PRIVATE_KEY_VARIABLE in environment
    if operator.web3signer is not None and not at_hand:
        return list
    return lambda: load_signers(
        chain_id=chain_id,
        environment=environment,
        keystores=operator.keystore,
        password_file=operator.password_file,
        ask=getpass.getpass if sys.stdin.isatty() else None,
    )


def _standing(settings: Settings, *, armed: bool) -> str:
    """Say plainly whether anything can be sent."""
    names = ", ".join(one.name for one in settings.deployments if one.settings.enabled)
    if armed:
        return f"ARMED on {settings.chain.name}: liquidations of {names} are sent for real"
    return f"disarmed on {settings.chain.name}: {names} is watched, nothing is sent, no key is read"
