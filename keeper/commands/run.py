"""``keeper run``: the daemon, disarmed unless armed."""

import asyncio
import getpass
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from keeper.app.alerting import alert_tap
from keeper.app.board import Board
from keeper.app.chorus import Chorus
from keeper.app.log_observer import LogObserver
from keeper.app.session import keeper_session
from keeper.app.status import TOKEN_VARIABLE, served
from keeper.commands.console import say
from keeper.commands.running import halt_on_signal, stop_on_signals
from keeper.config.keeper_file import Mode
from keeper.config.settings import Settings, load
from keeper.config.sources import find_outside
from keeper.core.errors import ConfigError, KeeperError
from keeper.core.ports import Signer
from keeper.evm.keys import load_signer
from keeper.runtime.clock import SystemClock
from keeper.telemetry.logging import configure_logging
from keeper.telemetry.metrics import REGISTRY
from keeper.telemetry.tallies import Tallies

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


async def _run(settings: Settings, signer: Callable[[], Signer] | None) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    clock, tallies = SystemClock(), Tallies(REGISTRY)
    board = Board(tallies, now=time.monotonic)
    observer = Chorus([LogObserver(), board])
    async with (
        keeper_session(settings, observer, signer=signer, clock=clock) as session,
        served(settings, session, board, tallies, clock) as port,
    ):
        say(_standing(settings, armed=signer is not None))
        if port is not None:
            say(f"status on http://{settings.http.host}:{port}/")
        halt_on_signal(session.keeper.halt)
        await session.keeper.run(session.head, stop)


def secrets_of(settings: Settings) -> list[str]:
    """Return what must never be in a line of the log."""
    channels = [one.get_secret_value() for one in settings.alerts.urls]
    token = find_outside(TOKEN_VARIABLE)
    return [*(one.address for one in settings.chain.rpc), *channels, *([token] if token else [])]


def _shown(error: Exception) -> str:
    """Return what may be said of an error: the words of one that is not ours may hold anything."""
    if isinstance(error, ExceptionGroup):
        return "; ".join(_shown(one) for one in error.exceptions)
    return str(error) if isinstance(error, KeeperError) else type(error).__name__


def arming(
    settings: Settings, environment: Mapping[str, str], *, arm: bool
) -> Callable[[], Signer] | None:
    """Return how to get the key if the run is armed: asked for twice, and for this chain.

    None is disarmed. Raises ConfigError when it is asked for but not all of it is there.
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
    return lambda: load_signer(
        chain_id=chain_id,
        environment=environment,
        keystore=settings.operator.keystore,
        password_file=settings.operator.password_file,
        ask=getpass.getpass if sys.stdin.isatty() else None,
    )


def _standing(settings: Settings, *, armed: bool) -> str:
    """Say plainly whether anything can be sent."""
    names = ", ".join(one.name for one in settings.deployments if one.settings.enabled)
    if armed:
        return f"ARMED on {settings.chain.name}: liquidations of {names} are sent for real"
    return f"disarmed on {settings.chain.name}: {names} is watched, nothing is sent, no key is read"
